"""Whole runs of the command with a fault at one file-system call, each in a fork of one warm process.

A fork finds torch, ONNX Runtime and Optuna imported, and what ``_once.py`` keeps: a cold build of ``SETTINGS`` takes
3.4 s of CPU there, and 25 s in a fresh Python. That is sound since the process has one thread: ``warm`` refuses more.
Counted are the calls on files in the folder of a run (bundle, cache, temporary files, home), those of Python's own
files included, and in the children that the command starts.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import _faults
import _small
from kills import content

LIMIT_S = 300  # of a run, after which it counts as one that hangs
MODELS = "{{kind='convnet',width={},strides=[1,1,2]}}"
SETTINGS: tuple[str, ...] = ("teacher.model=" + MODELS.format(32), "student.model=" + MODELS.format(32))
SETTINGS += ("threads=1", "teacher.epochs=1", "student.epochs=1", "teacher.batch_size=256", "student.batch_size=256")
SETTINGS += ("compress=[{kind='channel_prune',ratio=0.5,epochs=1,batch_size=256},{kind='int8_ptq'}]",)
# What ships is chosen by size: latencies differ from run to run, and may not choose here.
SETTINGS += ("budget.max_drop=1.0", "budget.prefer='size'")
OTHER = ("losses.0.temperature=2.0",)  # of the bundle that stands there already; the teacher is the same
KNOBS = ("tune={'student.model.width'={choices=[16,32]}}",)  # both are tried: what is found does not hang on chance
OWN = ("--target", "ort-cpu", "--out", "out", "--cache", "cache")
CHANGES = ("write", "create", "rename", "replace", "swap", "mkdir", "rmdir", "unlink", "chmod", "fsync", "flock")

TRIAL = re.compile(r"[a-z0-9_]{8}")

CHILD = """
import os, sys
if "{told}" in os.environ:
    sys.path.insert(0, {folder!r})
    import _faults
    sys.path.remove({folder!r})
    _faults.injected_by_environment()
"""


Names = tuple[str, ...]


def line(command: str, *more: str, settings: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A build or a search of the small recipe, in the current folder."""
    return (command, "digits", *OWN, *more, *_small.line_of((*SETTINGS, *settings)))


BUILD = line("build", "--quick")
TUNE = line("tune", "--quick", "--max-size-kb", "1000", "--prefer", "size", "--trials", "2", settings=KNOBS)


@dataclass(frozen=True)
class Case:
    """A command where something stands.

    Attributes:
        scene: the folder that is copied: what stands before.
        wanted: the scene whose bundle stands there afterwards; None: the command writes none.
    """

    name: str
    line: tuple[str, ...]
    scene: str
    wanted: str | None


CASES = {
    case.name: case
    for case in (
        Case("cold", BUILD, "nothing", "built"),
        Case("cold, not quick", line("build"), "nothing", "slow"),
        Case("over another", (*BUILD, "--overwrite"), "other", "built"),
        Case("over another, cache full", (*BUILD, "--overwrite"), "both", "built"),
        Case("warm", BUILD, "cached", "built"),
        Case("tune", TUNE, "cached", "tuned"),
        Case("tune over another", (*TUNE, "--overwrite"), "both", "tuned"),
        Case("verify", ("verify", "out"), "built", None),
        Case("bench", ("bench", "out", "--seconds", "0.05"), "built", None),
    )
}


@dataclass(frozen=True)
class Fault:
    """Where it comes: at the n-th call of the command itself, "", or of the n-th child that it starts, "0" .. ."""

    kind: str = ""
    process: str = ""
    at: int = 0


class Call(NamedTuple):
    """A call of the system, by its name and the file that it was on."""

    name: str
    path: str


@dataclass(frozen=True)
class Ended:
    """How a run ended: ``code`` is below 0 for a signal. ``calls``: what it called, by process."""

    code: int
    said: str
    calls: dict[str, list[Call]] = field(default_factory=dict)

    @property
    def faulted(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


@contextmanager
def warm(slow: bool = False) -> Iterator[Path]:
    """A folder with the scenes, in a process that has run every command once and has one thread.

    Args:
        slow: also of a build that is not quick.

    Raises:
        SystemExit: a command fails where nothing is wrong, or there is another thread.
    """
    import tqdm  # noqa: PLC0415  # it takes seconds, as all that follows
    from _once import files  # noqa: PLC0415

    tqdm.tqdm.monitor_interval = 0  # a thread
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="edgekd-whole-", dir=memory) as name, files():
        scenes(Path(name) / "scenes", slow)
        if len(threads := os.listdir("/proc/self/task")) > 1:
            raise SystemExit(f"{len(threads)} threads: forks of it may hang")
        yield Path(name)


def scenes(root: Path, slow: bool) -> None:
    """Run each command once, in this process: what stands before and after the runs."""
    fresh = {"nothing": BUILD[:0], "built": BUILD, "other": (*BUILD, *_small.line_of(OTHER))}
    for name, command in fresh.items():
        _make(root / name, command)
    if slow:
        _make(root / "slow", line("build"))
    _make(root / "cached", (), root / "built", without=("out", "out.samples.html"))
    _make(root / "tuned", TUNE, root / "cached")
    _make(root / "both", (), root / "other")
    shutil.copytree(root / "built" / "cache", root / "both" / "cache", dirs_exist_ok=True)
    for case in ("verify", "bench"):
        _make(root / case, CASES[case].line, root / "built")


def _make(folder: Path, command: tuple[str, ...], source: Path | None = None, without: tuple[str, ...] = ()) -> None:
    if source is not None:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*without))
    for name in ("tmp", "home"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if command and (code := _run(command, folder, Path(os.devnull))):
        raise SystemExit(f"{' '.join(command)}: ended with {code}")


def _run(command: tuple[str, ...], folder: Path, said: Path) -> int:
    """The command in its folder, here; what it prints goes to a file."""
    from edgekd import cli  # noqa: PLC0415

    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "ORT_DISABLE_TELEMETRY": "1"}
    here = os.getcwd()
    with (
        said.open("w") as out,
        mock.patch.dict(os.environ, own),
        mock.patch.object(tempfile, "tempdir", None),
        mock.patch.multiple(sys, stdout=out, stderr=out),
    ):
        os.chdir(folder)
        try:
            return cli.run(command)
        finally:
            os.chdir(here)


def forked(command: tuple[str, ...], folder: Path, fault: Fault | None = None) -> Ended:
    """The command in a fork, with a fault. ``fault.kind`` "": its calls are told; None: nothing is hooked."""
    control = folder.with_name(folder.name + ".control")
    shutil.rmtree(control, ignore_errors=True)
    control.mkdir()
    (control / "sitecustomize.py").write_text(CHILD.format(told=_faults.TOLD, folder=str(Path(__file__).parent)))
    child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.alarm(LIMIT_S)
            code = _hooked(command, folder, control, fault)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    logs = {path.name: _calls(path) for path in control.iterdir() if path.name.isdigit()}
    if (log := control / "calls").is_file():
        logs[""] = _calls(log)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return Ended(code, (control / "said").read_text(errors="replace"), logs)


def _calls(log: Path) -> list[Call]:
    return [Call(*line.split("\t", 1)) for line in log.read_text(errors="replace").splitlines()]


def _hooked(command: tuple[str, ...], folder: Path, control: Path, fault: Fault | None) -> int:
    """In the fork."""
    from edgekd.base import disk, locks  # noqa: PLC0415

    with ExitStack() as stack:
        if fault is not None:
            sys.path.insert(0, str(control))
            told = {"control": str(control), "under": str(folder), **vars(fault)}
            os.environ[_faults.TOLD] = json.dumps(told)
            log = os.open(control / "calls", os.O_WRONLY | os.O_CREAT)
            mine = fault if fault.process == "" else Fault()
            injector = _faults.Injector(mine.kind, mine.at, str(folder), log)
            stack.enter_context(_faults.injected(injector, locks, disk))
        return _run(command, folder, control / "said")


def calls_of(case: Case, root: Path) -> dict[str, list[Call]]:
    """The calls of a run where nothing fails, by process.

    Raises:
        SystemExit: it failed, or left something.
    """
    folder = copied(root / "scenes" / case.scene, root / "counted")
    ended = forked(case.line, folder, Fault())
    if ended.code or left(folder):
        raise SystemExit(f"{case.name}: {ended.code} {left(folder)} {ended.said[-1500:]}")
    return ended.calls


def copied(scene: Path, folder: Path) -> Path:
    """A folder for a run."""
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(scene, folder))


def standing(out: Path, known: dict[str, Path]) -> str:
    """What stands at ``out``: "nothing", the name of a known bundle, whole, or "half".

    A bundle that a run may have written is known by all but what a measurement decides, and by its own hashes.
    """
    from edgekd.base.errors import EdgekdError  # noqa: PLC0415
    from edgekd.runtime.replay import checked  # noqa: PLC0415

    if not os.path.lexists(out):
        return "nothing"
    found = _faults.tree(out)
    for name, other in known.items():
        if found == _faults.tree(other):
            return name
    try:
        checked(out, run=False)
    except EdgekdError:
        return "half"
    now = content(out)
    return next((name for name, other in known.items() if now == content(other)), "half")


def left(folder: Path) -> list[str]:
    """What nobody should find when all is done, but for a file by which Python tries whether TMPDIR can be written."""
    names = _faults.hidden(folder)
    other = [path for place in ("tmp", "home") for path in (folder / place).iterdir()]
    names += [f"{path.parent.name}/{path.name}" for path in other if not TRIAL.fullmatch(path.name)]
    names += [f"scratch/{path.name}" for path in (folder / "cache" / "scratch").glob("*") if path.is_dir()]
    return names + sorted(set(os.listdir(folder)) - {"out", "out.samples.html", "out.tune", "cache", "tmp", "home"})


def spread(calls: list[Call], chosen: Callable[[str], bool], part: float) -> int:
    """The number of a call: that at a part (0 to 1) of those that are chosen; of all, where none is."""
    numbers = [i + 1 for i, call in enumerate(calls) if chosen(call.name)] or range(1, len(calls) + 1)
    return numbers[min(int(part * len(numbers)), len(numbers) - 1)]


def options(about: str | None, cases: Iterable[str]) -> argparse.ArgumentParser:
    """What the scripts that count whole runs take."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", action="append", default=[], choices=cases)
    parser.add_argument("--again", action="store_true", help="forget what an earlier run counted")
    parser.add_argument("--no-result", action="store_true")
    return parser


def resumed(kept: Path, again: bool, new: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run, which was stopped, counted; ``new`` where there is none, or it is not wanted."""
    return json.loads(kept.read_text()) if kept.is_file() and not again else new


def counted(
    todo: list[tuple[str, int, int]], state: dict[str, Any], kept: Path, root: Path, new: dict[str, Any], bad: Names
) -> Iterator[tuple[Case, int, int, dict[str, list[Call]], dict[str, Any]]]:
    """Every run that is left: its case, number and count, the calls of the case, and the row of what is counted there.

    Args:
        state: of all runs, with ``done`` and the rows of ``cases``; it is kept in a file after each.
        new: a row where nothing is counted yet.
        bad: what must be 0 in each row.
    """
    from edgekd.base import disk  # noqa: PLC0415

    calls: dict[str, dict[str, list[Call]]] = {}
    for name, number, count in todo[state["done"] :]:
        if name not in calls:
            calls[name] = calls_of(CASES[name], root)
        row = state["cases"].setdefault(name, copy.deepcopy(new))
        row["calls"] = {process: len(found) for process, found in calls[name].items()}
        yield CASES[name], number, count, calls[name], row
        state["done"] += 1
        disk.replace_file(kept, json.dumps(state).encode())
        sums = {what: sum(one[what] for one in state["cases"].values()) for what in bad}
        told = ", ".join(f"{what} {total}" for what, total in sums.items() if total)
        print(f"{state['done']}/{len(todo)}: {name}, {told or 'all as it should be'}", flush=True)


def plan(counts: dict[str, int], share: float, only: list[str]) -> list[tuple[str, int, int]]:
    """All runs: (case, number, count), the cases in turns, so that a run that is stopped has some of each."""
    chosen = {name: math.ceil(count * share) for name, count in counts.items() if not only or name in only}
    rows = [(name, number, count) for name, count in chosen.items() for number in range(count)]
    return sorted(rows, key=lambda row: (row[1] + 0.5) / row[2])
