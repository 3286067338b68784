"""Calls at once: bounded, at one rate, each answer kept as its sample's, whatever fails or ends among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import DataError, FactoryError
from edgekd.learn.data import Dataset, from_splits
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment
from edgekd.teachers import Asked
from edgekd.teachers.callable import AskedAnswers, Callable

NAMES = ("ant", "bee", "cat")
RNG = np.random.default_rng(0)
DATA: Dataset = from_splits(
    [(RNG.standard_normal((n, 4)).astype(np.float32), np.arange(n) % 3) for n in (40, 7, 5)], "data", NAMES
)
WANTED = DATA.train.x[:, :3] * 2


def source(folder: Path, function: Function[..., object], **keys: Any) -> Any:
    kind = Callable("mine:answer", **{"version": "1", "wait": 0.0, **keys})
    feed = Feed(DATA, DATA.preprocess, Augment(), 0)
    asked = Asked(feed, DATA.splits, NAMES, None, folder, "code", "teacher.model", print, print)
    return AskedAnswers(kind, asked, function)


class Busy(Exception):
    """A service that says when it may be asked again."""

    retry_after = 0.05


class Crowd:
    """Answers twice the first three numbers of a sample, in any thread; the later a call begins, the sooner it ends."""

    def __init__(
        self, fail_at: int = -1, error: BaseException | None = None, together: threading.Barrier | None = None
    ) -> None:
        self.together = together
        self.lock, self.calls, self.running, self.most = threading.Lock(), list[np.ndarray](), 0, 0
        self.fail_at, self.error, self.begun = fail_at, error, list[float]()

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        with self.lock:
            number = len(self.begun)
            self.begun.append(time.monotonic())
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            if number == self.fail_at and self.error is not None:
                raise self.error
            if self.together is not None:
                self.together.wait(30)
            time.sleep(0.02 - 0.004 * (number % 5))
            with self.lock:
                self.calls.append(samples)
            return samples[:, :3] * 2
        finally:
            with self.lock:
                self.running -= 1

    @property
    def asked(self) -> int:
        return sum(map(len, self.calls))


def test_calls_at_once_are_bounded_and_each_answer_is_its_samples(tmp_path: Path) -> None:
    service = Crowd(together=threading.Barrier(4))  # nobody is answered before four have asked
    many = source(tmp_path, service, batch=2, at_once=4)
    np.testing.assert_array_equal(many.split("train"), WANTED)
    assert service.asked == 40 and service.most == 4
    service.together = None
    one = source(tmp_path, service, batch=7)
    assert one._identity == many._identity
    np.testing.assert_array_equal(one.split("train"), many.split("train"))
    assert service.asked == 40, "how many at once is no other teacher"
    with pytest.raises(ValueError, match="at_once: allowed is 1 to 256"):
        Callable("mine:answer", "1", at_once=0)


def test_a_call_that_fails_among_others_loses_none_of_theirs(tmp_path: Path) -> None:
    """It is told once; what was being asked beside it is kept, and nothing more is asked."""
    service = Crowd(3, TypeError("a mistake"))
    with pytest.raises(FactoryError, match="raised TypeError at"):
        source(tmp_path, service, batch=2, at_once=4).split("train")
    assert 6 <= service.asked <= 14
    kept = source(tmp_path, service)
    assert len(kept.journal) == service.asked and not kept.journal.in_doubt
    kept.split("train")
    assert service.asked == 40


def test_answers_that_are_none_among_others_lose_none_of_theirs(tmp_path: Path) -> None:
    service = Crowd()

    def short(samples: np.ndarray) -> np.ndarray:
        answers = service(samples)
        return answers[:1] if len(service.begun) == 3 else answers

    with pytest.raises(DataError, match="another number of answers than of samples; found 1; allowed: 2"):
        source(tmp_path, short, batch=2, at_once=3).split("train")
    assert len(source(tmp_path, short).journal) in (service.asked - 2, service.asked - 4, service.asked - 6)


def test_interrupted_calls_are_waited_for_and_kept(tmp_path: Path) -> None:
    service = Crowd()
    asked = source(tmp_path, service, batch=2, at_once=4)
    begun = asked.journal.about_to_ask

    def begin(batch: tuple[bytes, ...]) -> None:
        if len(service.begun) >= 6:
            raise KeyboardInterrupt
        begun(batch)

    asked.journal.about_to_ask = begin
    with pytest.raises(KeyboardInterrupt):
        asked.split("train")
    assert 12 <= service.asked < 40
    again = source(tmp_path, service)
    assert len(again.journal) == service.asked and not again.journal.in_doubt


def test_a_rate_is_of_all_calls_at_once_and_a_busy_service_is_left_alone_by_all(tmp_path: Path) -> None:
    service = Crowd()
    source(tmp_path, service, batch=8, at_once=5, per_minute=600).split("train")
    assert len(service.begun) == 5 and max(service.begun) - min(service.begun) > 0.3
    busy = Crowd(0, Busy("429"))
    source(tmp_path, busy, version="2", batch=8, at_once=2).split("train")
    first, _, *others = sorted(busy.begun)
    assert min(others) > first + 0.05, "two were asked; then nobody, until it may be asked again"


def test_a_function_that_ends_the_program_is_told_and_keeps_what_it_answered(tmp_path: Path) -> None:
    for at_once in (1, 2):
        version = str(at_once)
        service = Crowd(2, SystemExit(7))
        with pytest.raises(FactoryError, match=r"raised SystemExit at test_asking\.py:\d+: 7"):
            source(tmp_path, service, version=version, batch=4, at_once=at_once).split("train")
        assert len(source(tmp_path, service, version=version).journal) == service.asked >= 8
