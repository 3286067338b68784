"""A function that answers: what it is asked and how often, failures, kills, what it costs, and a whole build."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import struct
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import edgekd
from edgekd.base.errors import DataError, FactoryError, IntegrityError, RecipeError
from edgekd.base.scores import softmax
from edgekd.build import request as requests
from edgekd.build.prepare import Objects, prepare
from edgekd.learn.data import Dataset, from_splits
from edgekd.learn.data.made_text import MadeText
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment
from edgekd.teachers import Asked
from edgekd.teachers._asking import Asker
from edgekd.teachers._journal import Journal
from edgekd.teachers.callable import AskedAnswers, Callable

SHOWN = Augment(views=3, ops=({"kind": "mixup"},))
NAMES = ("ant", "bee", "cat")
SIZES = {"train": 40, "validation": 7, "test": 5}


def dataset(seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    splits = [(rng.standard_normal((n, 4)).astype(np.float32), np.arange(n) % 3) for n in SIZES.values()]
    return from_splits(splits, "data", NAMES)


class Service:
    """Answers the first three numbers of a sample; counts, and fails or takes its time where told to."""

    def __init__(self) -> None:
        self.calls: list[np.ndarray] = []
        self.fail: list[BaseException] = []

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if self.fail:
            raise self.fail.pop()
        self.calls.append(samples)
        return samples[:, :3] * 2

    @property
    def asked(self) -> int:
        return sum(map(len, self.calls))


def source(
    folder: Path, function: Function[..., object], data: Dataset | None = None, views: int = 1, **keys: Any
) -> Any:
    kind, data = Callable("mine:answer", "1", **{"wait": 0.0, **keys}), data or dataset()
    feed, notes = Feed(data, data.preprocess, SHOWN if views > 1 else Augment(), 0), list[str]()
    asked = Asked(feed, data.splits, NAMES, None, folder, "code", "teacher.model", notes.append, lambda line: None)
    return AskedAnswers(kind, asked, function)


def test_each_sample_is_asked_once_in_any_split_and_by_any_process(tmp_path: Path) -> None:
    service, data = Service(), dataset()
    first = source(tmp_path, service, data, batch=16)
    np.testing.assert_array_equal(first.split("train"), data.train.x[:, :3] * 2)
    assert [len(call) for call in service.calls] == [16, 16, 8]
    again = source(tmp_path, service, data, batch=5)
    np.testing.assert_array_equal(again.split("train"), first.view(0))
    assert service.asked == 40
    np.asarray(data.test.x)[:3] = data.train.x[:3]
    again.split("test")
    assert service.asked == 42, "three of five are known from another split"
    for keys in ({"version": "2"}, {"args": {"n": 1}}):
        other = source(tmp_path, service, data)
        table = {"function": "mine:answer", "version": "1", **keys}
        object.__setattr__(other, "kind", Callable(**table))  # type: ignore[arg-type]
        assert other._identity != again._identity


def test_an_edit_of_its_source_is_another_one_unless_the_version_counts_alone(tmp_path: Path) -> None:
    service = Service()
    for by_version, count in ((False, 14), (True, 7)):
        before = service.asked
        for code in ("code", "edited"):
            one = source(tmp_path, service, by_version=by_version)
            object.__setattr__(one, "asked", Asked(**{**vars(one.asked), "code": code}))
            one.split("validation")
        assert service.asked - before == count


def test_texts_are_a_list_and_answers_may_be_labels_or_nothing(tmp_path: Path) -> None:
    data = MadeText(train=6, validation=4, test=4).load()
    seen: list[object] = []

    def answer(samples: list[str]) -> list[object]:
        seen.extend(samples)
        return ["bee", 0, None, ["ant", "ant", "cat"]][: len(samples)] * (1 if len(samples) < 5 else 2)

    asked = source(tmp_path, answer, data, form="labels", missing="skip", batch=4)
    found = np.exp(asked.split("test"))
    assert all(isinstance(text, str) for text in seen)
    wanted = np.array([[0, 1, 0], [1, 0, 0], [2 / 3, 0, 1 / 3]])
    np.testing.assert_allclose(found[[0, 1, 3]], wanted, atol=1e-6)
    assert np.isnan(found[2]).all()
    asked.split("test")
    assert len(seen) == 4, "that there is no answer is an answer"
    strict = source(tmp_path, answer, data, form="labels", batch=4)
    with pytest.raises(DataError, match=r"teacher\.model: test: samples without an answer; found 'test/2'.*missing ="):
        strict.split("test")


def test_failures_are_tried_again_and_then_told_with_what_is_kept(tmp_path: Path) -> None:
    service = Service()
    service.fail = [ConnectionError("reset"), TimeoutError("late")]
    np.testing.assert_array_equal(source(tmp_path, service, batch=20).split("train"), dataset().train.x[:, :3] * 2)
    assert service.asked == 40
    service.fail = [ConnectionError("reset")] * 4
    with pytest.raises(FactoryError, match=r"raised ConnectionError at test_callable\.py:\d+: reset \(3 times\)"):
        source(tmp_path, service, retries=2).split("test")
    assert service.asked == 40 and len(service.fail) == 1
    service.fail = [TypeError("a mistake")]
    with pytest.raises(FactoryError, match=r"raised TypeError.*a mistake; |raised TypeError.*a mistake$"):
        source(tmp_path, service).split("test")
    source(tmp_path, service).split("test")
    assert service.asked == 45


def test_a_rate_is_kept_and_a_service_may_say_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    asker = Asker(lambda samples: samples, "here", per_minute=30)
    for _ in range(3):
        asker.ask([1], [b"1"])
    assert slept == [2.0, 2.0]

    class Busy(Exception):
        retry_after = 17

    errors: list[Exception] = [Busy(), OSError(), OSError()]

    def busy(samples: object) -> object:
        if errors:
            raise errors.pop()
        return samples

    slept.clear()
    assert Asker(busy, "here", wait=0.5).ask([1], [b"1"]) == [1] and slept == [0.5, 1.0, 17.0]


def test_what_is_no_answer_is_told(tmp_path: Path) -> None:
    cases: list[tuple[Function[..., object], dict[str, Any], str]] = [
        (lambda x: x[:-1, :3], {}, r"another number of answers than of samples; found 4; allowed: 5"),
        (lambda x: 3.0, {}, "another number of answers than of samples"),
        (lambda x: x, {}, r"another number of classes; found 4; allowed: 3: ant, bee, cat"),
        (
            lambda x: ["wasp"] * len(x),
            {"form": "labels"},
            r"answers, row 0: labels that are no class; found 'wasp'",
        ),
        (lambda x: x[:, :3] * 0 + 7, {"form": "probabilities"}, "don't sum to 1; found 'row 0: 21"),
    ]
    for i, (function, keys, message) in enumerate(cases):
        with pytest.raises(DataError, match=message):
            source(tmp_path / str(i), function, **keys).split("test")


def test_what_it_costs_is_told_and_held_before_anybody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    service = Service()
    priced = source(tmp_path, service, batch=10, per_minute=2, price=0.5)
    priced.note_cost()
    assert service.asked == 0
    notes: list[str] = []
    object.__setattr__(priced, "asked", Asked(**{**vars(priced.asked), "note": notes.append}))
    priced.split("train")
    priced.note_cost()
    assert notes == [
        "mine:answer (1) will be asked 12 samples in 2 calls, at 2 a minute: 1 min or more, at 0.5 each: 6.00; "
        "40 answers are kept"
    ]
    with pytest.raises(RecipeError, match=r"asks more than is allowed; found 12; allowed: at most 11 samples"):
        source(tmp_path, service, most=11).note_cost()
    with pytest.raises(RecipeError, match="found 92"):
        source(tmp_path, service, most=11, views=3).note_cost()
    priced.split("test"), priced.split("validation")
    priced.note_cost()
    assert len(notes) == 1, "nothing is left to ask"


def test_a_journal_reads_what_it_wrote_and_cuts_off_what_a_kill_left(tmp_path: Path) -> None:
    digests = [bytes([i]) * 32 for i in range(6)]
    texts = [f"answer {i}".encode() for i in range(6)]
    journal = Journal(tmp_path / "a" / "j")
    with journal.held():
        journal.about_to_ask(digests[:2])
        journal.returned(dict(zip(digests[:2], texts[:2], strict=True)))
        journal.about_to_ask(digests[2:4])
        journal.failed(digests[2:4])
        journal.about_to_ask(digests[4:])
    again = Journal(tmp_path / "a" / "j")
    assert list(again.in_doubt) == [tuple(digests[4:])] and len(again) == 2 and digests[2] not in again
    assert again.answers == dict(zip(digests[:2], texts[:2], strict=True))
    whole = (tmp_path / "a" / "j").read_bytes()
    for cut in range(0, len(whole), 3):
        (tmp_path / "cut").write_bytes(whole[:cut])
        torn = Journal(tmp_path / "cut")
        with torn.held():
            torn.returned({digests[5]: texts[5]})
        fresh = Journal(tmp_path / "cut")
        assert fresh.answers[digests[5]] == texts[5]
        assert len(fresh) == (3 if cut >= 21 + 13 + 64 + 13 + 2 * 44 else 1)
    (tmp_path / "cut").write_bytes(whole + bytes(40))
    assert len(Journal(tmp_path / "cut")) == 2, "a file that grew, and was not written any more"
    for at in (25, 40, 130, 150):
        (tmp_path / "cut").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(IntegrityError, match=r"damaged; found 'byte \d+'; its answers would be asked"):
            Journal(tmp_path / "cut")
    with pytest.raises(IntegrityError, match="not a journal of these answers"):
        Journal(tmp_path / "a" / "j", 4)


def test_what_was_answered_is_kept_before_it_is_read(tmp_path: Path) -> None:
    """One reply of many is no label: what was paid is kept, and the key that the error names asks nothing anew."""
    data, asked = MadeText(train=40, validation=4, test=4).load(), list[str]()

    def answer(samples: list[str]) -> list[str]:
        asked.extend(samples)
        return ["not sure" if len(asked) - len(samples) + i == 17 else "bee" for i in range(len(samples))]

    keys: dict[str, Any] = {"form": "labels", "batch": 8}
    for _ in range(2):  # once as it comes, once as it is kept
        with pytest.raises(DataError, match=r"no class; found 'not sure'; .*teacher\.model\.unknown = \"skip\""):
            source(tmp_path, answer, data, **keys).split("train")
        assert len(asked) == 24, "nothing more is paid for"
        assert not source(tmp_path, answer, data, **keys).journal.in_doubt
    for smoothing in (0.0, 0.3):
        more: dict[str, Any] = {"unknown": "skip", "missing": "skip", "smoothing": smoothing}
        rows = source(tmp_path, answer, data, **keys, **more).split("train")
        assert np.flatnonzero(np.isnan(rows).any(axis=1)).tolist() == [17] and len(asked) == 40
    np.testing.assert_allclose(np.exp(rows[0]), [0.1, 0.8, 0.1], rtol=1e-6)


def test_a_form_that_was_the_wrong_one_costs_one_batch(tmp_path: Path) -> None:
    service = Service()
    with pytest.raises(DataError, match=r"don't sum to 1.*answers are kept, and read anew by another form"):
        source(tmp_path, service, form="probabilities").split("train")
    np.testing.assert_array_equal(source(tmp_path, service).split("train"), dataset().train.x[:, :3] * 2)
    assert service.asked == 40


def test_a_journal_of_what_answers_were_read_as_is_read(tmp_path: Path) -> None:
    """As it was written before answers were kept as they are given, by another name; what it leaves open is asked."""
    service, data = Service(), dataset()
    now = source(tmp_path, service, data, batch=3)
    digests = now._digests("train")
    rows = {digest: np.full(3, i, "<f4") for i, digest in enumerate(digests[:30])}

    def record(kind: bytes, entries: list[bytes]) -> bytes:
        head = struct.pack("<cI", kind, len(entries))
        whole = head + struct.pack("<I", zlib.crc32(head)) + b"".join(entries)
        return whole + struct.pack("<I", zlib.crc32(whole))

    given = record(b"G", [digest + row.tobytes() for digest, row in rows.items()])
    start = b"edgekd-answers-1\n" + struct.pack("<I", 3)
    parts: tuple[object, ...] = ("mine:answer", "1", "code", [], "logits", "error", 0.0, NAMES, None, "")
    name = hashlib.sha256(repr(parts).encode()).hexdigest()
    (tmp_path / f"{name}.journal").write_bytes(
        start + record(b"A", digests[:30]) + given + record(b"A", digests[34:36])
    )
    for unknown in ("error", "skip"):
        answers = source(tmp_path, service, data, batch=3, unknown=unknown).split("train")
        np.testing.assert_array_equal(answers[:30], list(rows.values()))
        np.testing.assert_array_equal(answers[30:], data.train.x[30:, :3] * 2)
        assert service.asked == 10 and len(service.calls[0]) == 2, "what was in doubt comes first, as it was"


class Odd:
    """What only its text tells."""

    def __str__(self) -> str:
        return "cat"


GIVEN: dict[str, tuple[str, Function[[Any], object]]] = {
    "arrays in a list": ("logits", lambda x: [row[:3] for row in x]),
    "numbers of numpy in tables": ("logits", lambda x: [dict(zip(NAMES, row[:3], strict=True)) for row in x]),
    "a tensor that is trained": ("logits", lambda x: torch.tensor(x[:, :3], requires_grad=True)),
    "tensors in a tuple": ("logits", lambda x: tuple(torch.tensor(row[:3]) for row in x)),
    "a data frame's like": ("logits", lambda x: type("F", (), {"__array__": lambda self, *_, **__: x[:, :3]})()),
    "some that are None": ("logits", lambda x: [row[:3] for row in x[:-1]] + [None]),
    "whole numbers of numpy": ("labels", lambda x: [np.int64(i % 3) for i in range(len(x))]),
    "an array of numbers": ("labels", lambda x: np.arange(len(x)) % 3),
    "votes in arrays": ("labels", lambda x: [np.array([i % 3, -1]) for i in range(len(x))]),
    "texts of numpy": ("labels", lambda x: np.array([NAMES[i % 3] for i in range(len(x))])),
    "objects": ("labels", lambda x: [NAMES[i % 3] if i % 3 < 2 else Odd() for i in range(len(x))]),
    "shares of numpy": ("top", lambda x: [[(np.str_(NAMES[i % 3]), np.float32(1))] for i in range(len(x))]),
}


@pytest.mark.parametrize("case", GIVEN)
def test_what_numpy_and_torch_give_is_read(tmp_path: Path, case: str) -> None:
    form, function = GIVEN[case]
    rows = source(tmp_path, function, form=form, missing="skip").split("test")
    again = source(tmp_path, None, form=form, missing="skip").split("test")  # type: ignore[arg-type]
    np.testing.assert_array_equal(rows, again)
    wanted = dataset().test.x[:, :3]
    if form == "logits":
        given = 4 if "None" in case else 5
        assert np.isnan(rows[given:]).all()
        np.testing.assert_array_equal(rows[:given], wanted[:given])
    else:
        np.testing.assert_allclose(np.exp(rows), np.eye(3)[np.arange(5) % 3], atol=1e-30)


def test_an_object_that_has_no_text_is_the_users_mistake(tmp_path: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no text")

    with pytest.raises(FactoryError, match=r"raised ValueError at test_callable\.py:\d+: no text"):
        source(tmp_path, lambda x: [Broken() for _ in x], form="labels").split("test")


@pytest.mark.parametrize(
    ("form", "answer", "share"),
    [
        ("probabilities", {"ant": 0.33, "bee": 0.33, "cat": 0.33}, 1 / 3),
        ("log_probabilities", [-1.1, -1.1, -1.1], 1 / 3),
        ("top", [["ant", 0.0]], 1.0),
        ("top", [["ant", 0.6], ["wasp", 0.2]], 0.6),
    ],
)
def test_rounded_shares_and_the_logarithm_of_all(tmp_path: Path, form: str, answer: object, share: float) -> None:
    asked = source(tmp_path, lambda x: [answer for _ in x], form=form, unknown="skip")
    np.testing.assert_allclose(softmax(asked.split("test"))[:, 0], share, atol=1e-6)


class Paid:
    """A paid service over a file: counts each sample that it answers, answers a request that it knows for nothing."""

    def __init__(self, ledger: Path, by_request: bool) -> None:
        self.ledger, self.by_request, self.last = ledger, by_request, 0.0

    def charged(self) -> Counter[str]:
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return Counter(line.split()[1] for line in lines)

    def answer(self, samples: np.ndarray, request: str) -> np.ndarray:
        roll = random.random()
        if roll < 0.1:
            raise ConnectionError("reset")
        if time.monotonic() - self.last < 0.0005:
            busy = OSError("429")
            busy.retry_after = 0.0005  # type: ignore[attr-defined]
            raise busy
        self.last = time.monotonic()
        known = self.ledger.read_text() if self.ledger.exists() else ""
        if not (self.by_request and request in known):
            with self.ledger.open("a") as file:
                file.write("".join(f"{request} {sample.tobytes().hex()}\n" for sample in samples))
        time.sleep(0.002)
        return samples[:, :3] * 2

    def unnamed(self, samples: np.ndarray) -> np.ndarray:
        return self.answer(samples, "-")


def killed(run: Function[[], object], after: float) -> bool:
    """Run in a child that is killed after some seconds, if it is not done by then; whether it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside threads: the child runs numpy alone
        child = os.fork()
    if child == 0:
        try:
            random.seed()
            run()
            os._exit(0)
        finally:
            os._exit(1)
    time.sleep(after)
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        assert os.waitstatus_to_exitcode(status) == 0
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


@pytest.mark.parametrize(("in_doubt", "at_once", "wanted_kills"), [("ask", 1, 30), ("skip", 1, 30), ("ask", 4, 5)])
def test_no_sample_is_paid_twice_over_kills(tmp_path: Path, in_doubt: str, at_once: int, wanted_kills: int) -> None:
    """Where requests have names the service knows what it answered; where they have none, what is in doubt is left."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1300, 4)).astype(np.float32)
    data = from_splits([(part, np.arange(len(part)) % 3) for part in (x[:1200], x[1200:1250], x[1250:])], "d", NAMES)
    paid = Paid(tmp_path / "ledger", in_doubt == "ask")
    function = paid.answer if in_doubt == "ask" else paid.unnamed

    def ask() -> object:
        keys: dict[str, Any] = {"batch": 3, "at_once": at_once, "in_doubt": in_doubt, "missing": "skip", "retries": 50}
        return source(tmp_path, function, data, **keys).split("train")

    kills = 0
    for _ in range(200):
        if kills == wanted_kills:
            break
        kills += killed(ask, rng.uniform(0.02, 0.05))
    assert kills == wanted_kills, "or the machine is too fast for this test"
    rows = ask()
    assert isinstance(rows, np.ndarray)
    charged = paid.charged()
    assert set(charged.values()) == {1}, "asked twice"
    known = np.isfinite(rows).all(axis=1)
    np.testing.assert_array_equal(rows[known], x[:1200][known][:, :3] * 2)
    assert (~known).sum() <= (0 if in_doubt == "ask" else 3 * kills)
    assert len(charged) == 1200 if in_doubt == "ask" else len(charged) >= known.sum()


MODULE = """
import numpy as np
asked = []
def answer(samples, scale):
    asked.append(len(samples))
    flat = samples.reshape(len(samples), -1).astype(np.float32)
    return flat[:, :4] * scale / 255
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "asked_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: sys.modules["asked_of_mine"].asked
    sys.modules.pop("asked_of_mine", None)


def test_a_build_asks_once_and_another_student_asks_nothing(tmp_path: Path, module: Any) -> None:
    model = {"kind": "callable", "function": "asked_of_mine:answer", "version": "1", "args": {"scale": 3}, "batch": 50}
    recipe: dict[str, Any] = {
        "name": "small",
        "data": {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 96, "validation": 48, "test": 48},
        "teacher": {"model": {**model, "price": 0.01}},
        "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 1},
        "losses": [{"kind": "kl"}],
        "budget": {"max_drop": 1.0},
        "targets": ["ort-cpu"],
    }
    told: list[str] = []
    report = edgekd.build(
        recipe, out=tmp_path / "out", cache=tmp_path / "cache", quick=True, progress=lambda e: told.append(str(e))
    )
    assert sum(module()) == 192 and len(module()) == 4
    assert any("will be asked 192 samples in 4 calls, at 0.01 each: 1.92" in line for line in told)
    assert report["stages"][0]["name"] == "teacher"
    edgekd.verify(tmp_path / "out")
    faster = {**recipe, "teacher": {"model": {**model, "batch": 7}}, "metric": "agreement"}
    quick: dict[str, Any] = {"cache": tmp_path / "cache", "quick": True}
    first, second = (prepare(requests.make(table, **quick), Objects()) for table in (recipe, faster))
    assert first.plan.steps["teacher"].key != second.plan.steps["teacher"].key, "another metric"
    assert second.sources["teacher"].split("validation").shape == (48, 4)
    assert sum(module()) == 192, "what is known is known"
    slower = {**recipe, "teacher": {"model": {**model, "per_minute": 6.0}}}
    again = prepare(requests.make(slower, **quick), Objects())
    assert again.plan.steps["student"].key == first.plan.steps["student"].key, "how fast is asked trains nothing anew"
