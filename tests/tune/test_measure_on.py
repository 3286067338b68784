"""A search whose latencies come from one machine, while others train."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _small
import pytest

from edgekd import cli
from edgekd.base import host
from edgekd.base.beats import beside
from edgekd.runtime.bench import BenchResult
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.measurer import Measurer
from edgekd.runtime.runners import LocalRunner
from edgekd.spec import recipe as recipes
from edgekd.tune import search, trial
from tests.runtime.test_shared_folder import measure_until

TUNE = '\n[tune]\n"student.model.width" = { choices = [4, 5] }\n'
CUTS = ("teacher.model.width=8", "student.model.width=6", "compress=[]")


class Killed(BaseException):
    """What ends a measurer in the midst of a job."""


class Dying(LocalRunner):
    """This machine, until it was asked so often."""

    def __init__(self, jobs: float = float("inf")) -> None:
        self.left, self.measured = jobs, 0

    def bench(self, job: BenchJob) -> BenchResult:
        self.left -= 1
        if self.left < 0:
            raise Killed
        self.measured += 1
        return super().bench(job)


@contextlib.contextmanager
def measuring(folder: Path, *measurers: Dying) -> Iterator[None]:
    """Measure beside what the block does; when one is killed, the next begins."""

    def work(over: threading.Event) -> None:
        for runner in measurers:
            one = Measurer(folder)
            one.runner = runner
            with contextlib.suppress(Killed), one._alone(), one._beating():
                measure_until(over, one)

    with beside(work, "measuring"):
        yield


@pytest.fixture
def tuned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """``edgekd tune`` of two small students in a cache of their own: its tune.json."""
    mine = tmp_path / "mine.toml"
    mine.write_text((recipes.builtin_folder() / "digits.toml").read_text() + TUNE)

    def run(name: str, *args: str) -> dict[str, Any]:
        out, cache = tmp_path / name, tmp_path / f"{name}-cache"
        line = ["tune", str(mine), "--target", "ort-cpu", "--quick", "--trials", "2", "--max-drop", "0.99"]
        settings = _small.line_of(CUTS)
        code = cli.run([*line, "--out", str(out), "--cache", str(cache), *settings, *args])
        assert code == 0, capsys.readouterr().err
        document: dict[str, Any] = json.loads((tmp_path / f"{name}.tune" / "tune.json").read_text())
        return document

    return run


def test_values_are_those_of_one_machine_that_does_both(
    tuned: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is timed where a trial trains. The first that measures is killed in the midst of a trial: the next
    goes on, and no trial is run again."""
    here: list[str] = []
    for name in ("bench", "glance"):
        monkeypatch.setattr(LocalRunner, name, noting(getattr(LocalRunner, name), here))
    alone = tuned("alone")
    assert here
    here.clear()
    folder = tmp_path / "lab"
    first, second = Dying(2), Dying()
    with measuring(folder, first, second):
        together = tuned("together", "--measure-on", f"folder:{folder}")
    assert here == [] and first.measured == 2 and second.measured > 0
    for one, other in zip(alone["trials"], together["trials"], strict=True):
        assert one["values"] == other["values"] and one["state"] == other["state"] == "complete"
        for key in ("value", "drop", "size_bytes"):
            assert one["result"][key] == other["result"][key]
        assert other["result"]["p50_ms"] > 0 and other["again"] is None
    assert alone["study"] == together["study"], "the machine that measures is the same one"
    assert cli.run(["verify", str(tmp_path / "together")]) == 0


def noting(call: Callable[..., Any], here: list[str]) -> Callable[..., Any]:
    """What is asked by the thread that trains is noted."""

    def ask(self: LocalRunner, job: BenchJob) -> Any:
        if threading.current_thread() is threading.main_thread():
            here.append(job.where)
        return call(self, job)

    return ask


def test_workers_of_any_cpu_join_the_study_of_the_one_that_measures(
    tuned: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no finished trial is run again by the other one."""
    folder, journal = tmp_path / "lab", tmp_path / "study.journal"
    there = host.told()
    monkeypatch.setattr(Dying, "facts", lambda self: there)
    ran: list[int] = []
    full = trial.full

    def counted(lab: trial.Lab, recipe: Any, number: int) -> Any:
        ran.append(number)
        return full(lab, recipe, number)

    monkeypatch.setattr(search, "full", counted)
    with measuring(folder, Dying()):
        one = tuned("one", "--storage", str(journal), "--measure-on", f"folder:{folder}")
        linked = tmp_path / "mounted-elsewhere"
        linked.symlink_to(folder)
        monkeypatch.setattr(host, "cpu", lambda: "another CPU")
        other = tuned("other", "--storage", str(journal), "--measure-on", f"folder:{linked}")
    assert other["study"] == one["study"] and other["trials"] == one["trials"] and ran == [0, 1]
    assert tuned("alone", "--storage", str(journal))["study"] != one["study"], "it measures on its own CPU"
