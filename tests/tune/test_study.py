"""A study that several processes share, and what is left of one that died."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from edgekd.base.errors import ResourceError, UsageError
from edgekd.spec import recipe as recipes
from edgekd.tune import away, search_space, study, workers
from edgekd.tune.verdict import Result

TUNE = """
[tune]
"student.model.width" = { choices = [16, 32, 48, 64] }
"losses.0.temperature" = { low = 1.0, high = 8.0, log = true }
"""


def make_study(tmp_path: Path, url: str | None = None) -> study.Study:
    digits, _ = recipes.load("digits")
    knobs = {"student.model.width": recipes.Knob(choices=(16, 32, 128))}
    storage = study.open_storage(url or str(tmp_path / "s.journal"))
    return study.Study(storage, "s", knobs, search_space.current(digits, knobs), 0)


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_the_values_of_a_dead_worker_are_asked_again(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = None if kind == "journal" else f"sqlite:///{tmp_path / 's.db'}"
    one = make_study(tmp_path, url)
    first = one.ask()
    assert first.point == {}, "the recipe as it is"
    elsewhere = one.ask()
    elsewhere.note("worker", "another-host:1:7")
    lost = one.ask()
    lost.note("worker", f"{workers.machine()}:1:7")  # process 1 did not start then
    again = make_study(tmp_path, url).ask()
    trials = one.trials()
    assert trials[lost.number].state == TrialState.FAIL
    assert again.point == lost.point and trials[again.number].user_attrs["again"] == lost.number
    assert trials[first.number].state == trials[elsewhere.number].state == TrialState.RUNNING
    monkeypatch.setattr(workers, "AWAY_S", -1)
    one.revive()
    states = [trial.state for trial in one.trials()]
    assert states[elsewhere.number] == TrialState.FAIL, "nothing is heard of it"
    assert states[first.number] == states[again.number] == TrialState.RUNNING, "this process lives"


def test_the_trial_of_a_dead_worker_is_free_while_all_others_are_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs a trial of hours looks after the others meanwhile, so that whoever is free next takes it."""
    monkeypatch.setattr(workers, "BEAT_S", 0.01)
    monkeypatch.setattr(workers, "AWAY_S", 0.1)
    one = make_study(tmp_path)
    busy, lost = one.ask(), one.ask()
    lost.note("worker", "another-host:1:7")
    with workers.beating(busy.beat, one.revive):
        deadline = time.monotonic() + 30
        while one.trials()[lost.number].state == TrialState.RUNNING and time.monotonic() < deadline:
            time.sleep(0.01)
    trials = one.trials()
    assert (trials[lost.number].state, trials[busy.number].state) == (TrialState.FAIL, TrialState.RUNNING)
    assert make_study(tmp_path).ask().point == lost.point


def test_the_lower_number_keeps_a_recipe(tmp_path: Path) -> None:
    one, two = make_study(tmp_path), make_study(tmp_path)
    low, high = one.ask(), two.ask()
    assert low.number < high.number
    assert one.claim(low, "same") is None
    assert two.claim(high, "same") == low.number
    one.drop(low, "given up")
    assert two.claim(high, "same") is None, "a dropped one keeps nothing"


def test_a_half_written_line_is_cut_off(tmp_path: Path) -> None:
    one = make_study(tmp_path)
    asked = one.ask()
    one.prune(asked, "why", {"max_latency_ms": 1.0})
    with (tmp_path / "s.journal").open("ab") as file:
        file.write(b'{"op_code": 8, "tri')
    again = make_study(tmp_path)
    again.ask()
    assert make_study(tmp_path).trials()[asked.number].state == TrialState.PRUNED


def test_who_lost_a_trial_to_another_worker_goes_on(tmp_path: Path) -> None:
    """A process that stood still for minutes: what it notes and tells of the trial changes nothing."""
    one, two = make_study(tmp_path), make_study(tmp_path)
    asked = one.ask()
    two._ask_again(asked.number, {}, {})
    one.prune(asked, "late", {"max_latency_ms": 1.0})
    one.drop(asked, "late")
    one.postpone(asked, "late")
    trials = one.trials()
    assert trials[asked.number].state == TrialState.FAIL and "why" not in trials[asked.number].user_attrs
    assert len(trials) == 2, "it is asked again by who took it over, once"


def test_a_kill_between_asking_again_and_ending_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_study(tmp_path)
    lost = one.ask()
    lost.note("worker", f"{workers.machine()}:1:7")
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(one.study, "tell", interrupted)
        one.revive()
    two = make_study(tmp_path)
    assert two.trials()[lost.number].state == TrialState.RUNNING
    two.revive()
    again = [trial for trial in two.trials() if trial.user_attrs.get("again") == lost.number]
    assert two.trials()[lost.number].state == TrialState.FAIL and len(again) == 1


@pytest.mark.parametrize("stays", [False, True])
def test_a_storage_that_is_away_is_asked_again_and_then_told(
    stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that somebody else has locked, for a second or for good, at whatever a search writes."""
    file = tmp_path / "s.db"
    one = make_study(tmp_path, f"sqlite:///{file}?timeout=0.01")
    asked = one.ask()
    result = Result(asked.number, 0.5, 1.0, 10, 0.1, {}, "", {})
    steps: list[Callable[[], object]] = [
        lambda: asked.note("why", "x"),
        lambda: asked.miss("max_drop", 1.0),
        lambda: one.choose("abc"),
        lambda: one._enqueue({"student.model.width": 16}, {}),
        lambda: one.complete(asked, result),
    ]
    pauses: list[float] = []
    for step in steps:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        def sleep(seconds: float, other: sqlite3.Connection = other) -> None:
            if seconds in away.PAUSES_S:  # and not one of Optuna's own
                pauses.append(seconds)
                if not stays:
                    other.close()

        monkeypatch.setattr(time, "sleep", sleep)
        if stays:
            told = r"does not answer; found 'database is locked'; run the same command again"
            with pytest.raises(ResourceError, match=f"--storage: the storage {told}"):
                step()
        else:
            step()
        other.close()
    assert pauses == ([*away.PAUSES_S] * len(steps) if stays else [away.PAUSES_S[0]] * len(steps))
    states = [trial.state for trial in one.trials()]
    assert (states[asked.number] == TrialState.COMPLETE) != stays and one.built() == ([] if stays else ["abc"])


def test_what_is_no_fault_of_the_connection_is_not_asked_again(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"no database" * 100)
    with pytest.raises(UsageError, match="can't be used as storage"):
        make_study(tmp_path, f"sqlite:///{tmp_path / 's.db'}")
    assert not away.is_away(ValueError()) and away.is_away(lost())


def lost() -> BaseException:
    """As Optuna raises it of a server that went away."""
    err = StorageInternalError("an exception is raised during the commit")
    err.__cause__ = OperationalError("INSERT", {}, Exception("server closed the connection unexpectedly"))
    return err


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
