"""A machine that measures for others over a folder: who asks, who is killed, who comes next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

from edgekd.base import host
from edgekd.base.beats import beside
from edgekd.base.errors import DeviceError, EdgekdError, IntegrityError, UsageError
from edgekd.runtime import measurer, runners, shared_folder
from edgekd.runtime.bench import BenchResult
from edgekd.runtime.devices import find
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.measurer import Measurer
from edgekd.runtime.runners import LocalRunner
from edgekd.runtime.shared_folder import JobFolder, SharedFolder

NET = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }
"""


def job(where: str = "ort-cpu", seconds: float = 0.01) -> BenchJob:
    files = {"model.onnx": onnx.parser.parse_model(NET).SerializeToString()}
    x = {"x": np.zeros((1, 3), np.float32)}
    return BenchJob("ort", {"fp32": files}, "fp32", x, min_samples=3, min_seconds=seconds, where=where)


@dataclass
class Counting(LocalRunner):
    """This machine; what it was asked is counted."""

    asked: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def bench(self, job: BenchJob) -> BenchResult:
        self.asked.append(job.where)
        if self.errors:
            raise self.errors.pop(0)
        return super().bench(job)


def make_measurer(root: Path, *errors: BaseException) -> tuple[Measurer, Counting]:
    one, runner = Measurer(root), Counting(errors=list(errors))
    one.runner = runner
    return one, runner


def measure_until(over: threading.Event, one: Measurer) -> None:
    """Measure as ``serve`` does."""
    while not over.is_set():
        if not one.measure_next():
            time.sleep(0.01)


@contextmanager
def measuring(one: Measurer) -> Iterator[None]:
    """Measure beside what the block does."""
    with one._alone(), one._beating(), beside(lambda over: measure_until(over, one), "measuring"):
        yield


@contextmanager
def there(root: Path) -> Iterator[SharedFolder]:
    """The end that asks, of a folder where this machine said that it measures."""
    with Measurer(root)._beating():
        yield SharedFolder(root)


def ask(folder: SharedFolder, jobs: list[BenchJob]) -> None:
    """What they ask, without waiting for it: as one does that is killed then."""

    class Killed(Exception):
        pass

    def put(self: JobFolder, name: str, files: Any, put: Any = JobFolder.ask) -> None:
        put(self, name, files)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobFolder, "ask", put)
        for one in jobs:
            with pytest.raises(Killed):
                folder.bench(one)


def test_it_is_measured_as_here(tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    asking = runners.of(f"folder:{tmp_path}")
    with measuring(one):
        assert asking.facts()["key"] == host.measured_key(0) and asking.isa() == host.isa()
        result = asking.bench(job())
        assert len(result.samples["fp32"]) >= 3 and result.host["cpu"] == host.cpu()
        assert asking.cold(job())["open_ms"] > 0 and asking.glance(job()) > 0
        kernels = asking.kernels(job(), quick=True)["fp32"]
        assert kernels and kernels[0].op == "Relu"
        with runners.opened(f"folder:{tmp_path}") as opened:
            assert opened.facts()["key"] == host.measured_key(0)
    assert len(runner.asked) == 3
    assert not list((tmp_path / "jobs").iterdir()) and not list((tmp_path / "results").iterdir())


def test_two_sessions_are_two_measurements(tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    with measuring(one):
        asking = SharedFolder(tmp_path)
        first, second = asking.bench(job()), asking.bench(job())
    assert len(runner.asked) == 2 and first.samples["fp32"].tolist() != second.samples["fp32"].tolist()


def test_jobs_are_measured_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    with there(tmp_path) as asking:
        for where in "cab":
            ask(asking, [job(where)])
            time.sleep(0.02)  # more than a tick of the file system's clock
    while one.measure_next():
        pass
    assert runner.asked == ["c", "a", "b"]


def test_who_asks_again_after_a_kill_finds_what_was_measured_meanwhile(tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    with there(tmp_path) as asking:
        ask(asking, [job()])
        ask(asking, [job()])
        assert len(JobFolder(tmp_path).jobs()) == 1, "asked twice, measured once"
        assert one.measure_next() and not one.measure_next()
        assert len(asking.bench(job()).samples["fp32"]) >= 3
    assert runner.asked == ["ort-cpu"]


def test_the_job_of_a_killed_measurer_is_measured_by_the_next(tmp_path: Path) -> None:
    """Killed by the system in the midst of a job, its lock and its process with it."""
    line = [sys.executable, "-m", "edgekd", "measure", str(tmp_path)]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert "measuring what is asked" in process.stderr.readline()
        asking = SharedFolder(tmp_path)
        ask(asking, [job("mine", 2.0)])
        assert process.stderr.readline() == "mine: fp32\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    assert len(JobFolder(tmp_path).jobs()) == 1 and not JobFolder(tmp_path).has_result(JobFolder(tmp_path).jobs()[0])
    one, runner = make_measurer(tmp_path)
    with measuring(one):
        assert len(asking.bench(job("mine", 2.0)).samples["fp32"]) >= 3
    assert runner.asked == ["mine"]


def test_a_kill_between_a_result_and_the_end_of_its_job_measures_nothing_twice(tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    with there(tmp_path) as asking:
        ask(asking, [job()])

        def killed(self: JobFolder, name: str) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(JobFolder, "drop", killed)
            one.measure_next()
        assert one.measure_next() and not one.measure_next() and runner.asked == ["ort-cpu"]
        assert len(asking.bench(job()).samples["fp32"]) >= 3


def test_a_second_one_waits_until_the_first_is_gone(tmp_path: Path) -> None:
    lines: list[str] = []
    one, two = Measurer(tmp_path), Measurer(tmp_path, tell=lines.append)
    entered = threading.Event()

    def follow() -> None:
        with two._alone():
            entered.set()

    with one._alone():
        thread = threading.Thread(target=follow)
        thread.start()
        assert not entered.wait(0.3) and "this one is the next" in lines[0]
    thread.join()
    assert entered.is_set()


def test_errors_come_back_as_they_are(tmp_path: Path) -> None:
    one, _ = make_measurer(tmp_path, IntegrityError("not a model", where="x"))
    with measuring(one):
        with pytest.raises(IntegrityError, match="x: not a model"):
            SharedFolder(tmp_path).bench(job())
        assert len(SharedFolder(tmp_path).bench(job()).samples["fp32"]) >= 3, "an error is kept for nobody else"


@pytest.mark.parametrize("times", [1, measurer.TRIES])
def test_a_device_that_is_away_is_asked_again_and_then_told(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurer, "PAUSE_S", 0.0)
    one, runner = make_measurer(tmp_path, *(DeviceError("it can't be reached", where="pi") for _ in range(times)))
    with measuring(one):
        if times < measurer.TRIES:
            assert len(SharedFolder(tmp_path).bench(job()).samples["fp32"]) >= 3
        else:
            with pytest.raises(DeviceError, match="pi: it can't be reached"):
                SharedFolder(tmp_path).bench(job())
    assert len(runner.asked) == min(times + 1, measurer.TRIES)


def test_another_machine_is_told_and_measures_nothing_for_this_story(tmp_path: Path) -> None:
    asking = runners.of(f"folder:{tmp_path}")
    one, runner = make_measurer(tmp_path)
    with one._beating():
        before = asking.facts()
    told = {"facts": before["facts"], "key": {**before["key"], "cpu": "another"}}
    runner.facts = lambda: told  # type: ignore[method-assign, assignment, return-value]
    with measuring(one), pytest.raises(DeviceError, match="another machine measures; found 'another'"):
        asking.bench(job())


def test_a_result_of_an_earlier_machine_is_measured_again(tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    with there(tmp_path) as asking:
        ask(asking, [job()])
        told = {**host.told(), "key": {**host.measured_key(0), "cpu": "another"}}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Counting, "facts", lambda self: told)
            assert one.measure_next()
    with measuring(one):
        assert len(asking.bench(job()).samples["fp32"]) >= 3
    assert len(runner.asked) == 2


def test_that_nobody_measures_is_told_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(shared_folder, "POLL_S", 0.01)
    monkeypatch.setattr(shared_folder, "SILENT_S", 0.05)
    monkeypatch.setattr(shared_folder, "GIVEN_UP_S", 0.3)
    with pytest.raises(DeviceError, match="nobody measures there; run edgekd measure"):
        SharedFolder(tmp_path, lines.append).facts()
    assert len(lines) == 1
    with there(tmp_path):
        pass
    with pytest.raises(DeviceError, match="nobody measures there"):
        SharedFolder(tmp_path, lines.append).bench(job())
    assert len(lines) == 2, "the one that measured is gone: told once more, and once"


def test_who_waits_waits_on_while_the_one_that_measures_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folder, "GIVEN_UP_S", 0.5)
    monkeypatch.setattr(measurer, "BEAT_S", 0.02)
    one, _ = make_measurer(tmp_path)
    read: Callable[..., BenchJob] = Measurer._read

    def late(self: Measurer, name: str, folder: Path) -> BenchJob:
        time.sleep(1.0)
        return read(self, name, folder)

    monkeypatch.setattr(Measurer, "_read", late)
    with measuring(one):
        assert len(SharedFolder(tmp_path).bench(job()).samples["fp32"]) >= 3


def test_another_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with there(tmp_path) as asking:
        monkeypatch.setattr(shared_folder, "__version__", "99.0")
        with pytest.raises(DeviceError, match=r"another version of edgekd measures; found .*; allowed: 99\.0"):
            asking.facts()


def odd_backend(place: Path) -> None:
    change(place, backend="mine:Backend")


def odd_option(place: Path) -> None:
    change(place, options={"provider": "cpu", "profile_file": "/etc/x"})


def no_inputs(place: Path) -> None:
    change(place, inputs=["x", "y"])


def odd_table(place: Path) -> None:
    (place / "job.json").write_text('{"backend": 3}')


def link(place: Path) -> None:
    (place / "candidate0.0").unlink()
    (place / "candidate0.0").symlink_to("/etc/passwd")


def change(place: Path, **keys: object) -> None:
    table = json.loads((place / "job.json").read_text())
    (place / "job.json").write_text(json.dumps({**table, **keys}))


@pytest.mark.parametrize("damage", [odd_backend, odd_option, no_inputs, odd_table, link])
def test_odd_jobs_are_told_to_who_asked_and_run_nothing(damage: Callable[[Path], None], tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    with there(tmp_path) as asking:
        ask(asking, [job()])
        (name,) = JobFolder(tmp_path).jobs()
        damage(tmp_path / "jobs" / name)
        assert one.measure_next()
        with pytest.raises(IntegrityError):
            asking.bench(job())
    assert not runner.asked


def test_damaged_results_are_measured_again_and_odd_ones_told(tmp_path: Path) -> None:
    one, runner = make_measurer(tmp_path)
    with there(tmp_path) as asking:
        ask(asking, [job()])
        (name,) = JobFolder(tmp_path).jobs()
        assert one.measure_next()
        result = tmp_path / "results" / name / "result.json"
        result.unlink()
        result.symlink_to("/etc/passwd")
    with measuring(one):
        assert len(asking.bench(job()).samples["fp32"]) >= 3
    assert len(runner.asked) == 2
    JobFolder(tmp_path).answer(name, {"result.json": b"{}", "machine.json": b"[]"})
    with pytest.raises(DeviceError, match=r"machine\.json"):
        asking.bench(job())


def test_results_that_nobody_came_for_go_after_a_day(tmp_path: Path) -> None:
    names = [f"{digit * 64}.bench" for digit in "ab"]
    for name in names:
        JobFolder(tmp_path).answer(name, {"machine.json": b"{}"})
    (tmp_path / "results" / "notes").mkdir()
    old = time.time() - 2 * 86_400
    os.utime(tmp_path / "results" / names[0], (old, old))
    JobFolder(tmp_path).clear()
    assert sorted(place.name for place in (tmp_path / "results").iterdir()) == sorted([names[1], "notes"])


def test_addresses() -> None:
    with pytest.raises(UsageError, match="an empty path"):
        runners.of("folder:")
    with pytest.raises(UsageError, match="folder:PATH"):
        find("ssh://")
    with pytest.raises(UsageError, match="measures itself"):
        Measurer(Path("x"), "folder:x")
    with pytest.raises(EdgekdError, match="no such device"):
        Measurer(Path("x"), "nobody")
