"""Whether a worker lives: a process of this machine, and one of another by what it lets be heard."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from edgekd.tune import workers

AWAY = "another-machine:1:7"
NO_KNOBS: dict[str, BaseDistribution] = {}


def running(number: int = 0, **attrs: object) -> FrozenTrial:
    now = datetime.now()
    return FrozenTrial(number, TrialState.RUNNING, None, now, None, {}, NO_KNOBS, dict(attrs), {}, {}, number)


def test_a_process_is_told_from_its_successor_and_from_another_machines() -> None:
    where, pid, start = workers.me().rsplit(":", 2)
    assert workers.lives(workers.me()) and where == workers.machine()
    if start:
        assert workers.lives(f"{where}:{pid}:{int(start) - 1}") is False
    assert workers.lives(f"{where}-of-another-container:{pid}:{start}") is None


def test_another_machines_worker_lives_while_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = workers.Watch()
    heard = []
    for seconds, beat in ((0, 0), (110, 0), (115, 1), (230, 1), (236, 1), (240, 2)):
        clock[0] = float(seconds)
        heard.append(watch.is_dead(running(worker=AWAY, beat=beat)))
    assert heard == [False, False, False, False, True, False]
    assert not watch.is_dead(running(1)), "its name may come yet"
    clock[0] += workers.NAMELESS_S + 1
    assert watch.is_dead(running(1))
    assert not watch.is_dead(running(1, worker=workers.me())) and watch.is_dead(
        running(2, worker=f"{workers.machine()}:1:7")
    )


def test_beats_go_on_while_the_storage_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BEAT_S", 0.001)
    noted: list[object] = []

    def note(key: str, value: object) -> None:
        assert key == "beat"
        noted.append(value)
        if value == 1:
            raise SQLAlchemyError("away")

    with workers.beating(note):
        deadline = time.monotonic() + 30
        while len(noted) < 4 and time.monotonic() < deadline:
            time.sleep(0.001)
    count = len(noted)
    time.sleep(0.01)
    assert noted[:4] == [0, 1, 2, 3] and len(noted) == count, "nothing is noted behind the block"


def test_what_the_block_raises_ends_the_beats() -> None:
    noted: list[object] = []
    with pytest.raises(KeyError), workers.beating(lambda key, value: noted.append(value)):
        raise KeyError("x")
    assert noted == [0]
