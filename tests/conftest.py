"""Shared fixtures. Training in tests is tiny, on one thread, and never sees the network."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import logging
import os
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import _small
import pytest
from filelock import FileLock  # comes with torch

from edgekd import cli
from edgekd.build import run
from edgekd.decide import choose
from edgekd.learn import threads


def _later(term: str, value: str) -> bool:
    """``is_valid_syntax`` of rfc3987_syntax, which is imported when an address is held against its grammar."""
    if sys.modules.get("rfc3987_syntax") is LATER:
        del sys.modules["rfc3987_syntax"]
    return bool(importlib.import_module("rfc3987_syntax").is_valid_syntax(term, value))


# jsonschema imports it; its 38 grammars take 2 s of every worker, and few of our documents hold an address.
LATER = types.ModuleType("rfc3987_syntax")
LATER.is_valid_syntax = _later  # type: ignore[attr-defined]
sys.modules.setdefault("rfc3987_syntax", LATER)

COUNT = itertools.count()
Shared = Callable[[str, Callable[[Path], None]], Path]
WORDS = "{kind='keyword_cnn',width=16,depth=2,rate=8000,hop=160,high=3000.0}"
# No parts of int8 files are tried in float: half of a small build's time; multi-task tries them.
NOT_MIXED = "budget.prefer='size'"
# Settings of quick builds.
SMALLER = {
    "digits": _small.DIGITS,
    "bert-distilbert": (*_small.TEXTS, NOT_MIXED),
    "tiny-text": (
        "teacher.model={kind='bert', width=32, layers=2, heads=2, positions=64}",
        "student.from_teacher.0.size=150",
        "student.from_teacher.1.keep=[0]",
        "student.from_teacher.2.heads=0.5",
        "student.from_teacher.3.rank=8",
        "student.from_teacher.4.multiple=4",
        NOT_MIXED,
    ),
    "sentence-vectors": (
        "teacher.model={kind='embedder', width=32, layers=1, heads=2, positions=64}",
        "teacher.batch_size=16",
        "student.model={kind='embedder', width=16, layers=1, heads=2, positions=64}",
        "student.batch_size=16",
        "data.made.meanings=12",
        "task.size=16",
        NOT_MIXED,
    ),
    "tile-anomaly": (
        "teacher.model={kind='auto_encoder', width=4, depth=2}",
        "student.model={kind='auto_encoder', width=4, depth=2, code=4}",
        NOT_MIXED,
    ),
    "slots-intent": (
        "teacher.model={kind='tagger', width=32, layers=1, heads=2, positions=48}",
        "teacher.lr=5e-3",
        "student.model={kind='tagger', width=16, layers=1, heads=2, positions=48}",
        "data.made.intents=4",
        NOT_MIXED,
    ),
    "keyword-spotting": (
        "data={source='made_audio',rate=8000,length=4000,classes=3,train=90,validation=60,test=60}",
        f"teacher.model={WORDS}",
        f"student.model={WORDS}",
        NOT_MIXED,
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole builds first: at the end no worker waits for the other one's long file."""
    items.sort(key=lambda item: "whole" not in item.path.parts)


def pytest_collection_finish() -> None:
    """The libraries and 10,000 tests stay until the end: each ``gc.collect`` would look through them for 0.5 s.

    Nor is garbage looked for after each 700 objects more: exports make so many that it took a tenth of theirs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


@pytest.fixture(autouse=True)
def _no_log_goes_to_a_closed_stream() -> Iterator[None]:
    """A library that logs before anyone says where makes a handler of the stderr that pytest has put there for one
    test; whatever is logged in later ones would be an error of its own, on their stderr.
    """
    yield
    for handler in [one for one in logging.root.handlers if type(one) is logging.StreamHandler]:
        logging.root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache, nor knows the devices that a command of another one named.

    Its folder is made by who writes there: most tests write nothing.
    """
    monkeypatch.setenv("EDGEKD_CACHE", str(tmp_path_factory.getbasetemp() / f"cache-{next(COUNT)}"))
    monkeypatch.setenv("EDGEKD_DEVICES", "")  # what ``--devices`` sets is undone


@pytest.fixture(scope="session", autouse=True)
def _as_many_threads_as_workers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "fixed", lambda count: contextlib.nullcontext())  # a worker a CPU, a thread a worker
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_builds_are_timed_in_100_runs() -> Iterator[None]:
    """With --quick files are timed to see whether they run: the fewest runs show that, too, in half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "QUICK_SECONDS", 0.01)
        yield


@pytest.fixture
def no_clock_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``prefer = "size"`` two builds ship the same file: else int8 is slower than fp32 on a busy machine once, and
    not twice, and what is slower than fp32 never ships.
    """
    monkeypatch.setattr(choose, "_slower", lambda *_: (None, []))


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What a killed process wrote is there without it; no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        if hasattr(os, "posix_fadvise"):
            patch.setattr(os, "posix_fadvise", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """``shared(name, make)``: the folder that ``make(folder)`` fills once in a run, by the worker that comes first.

    It is everybody's: read it, or copy what a test changes.
    """
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # of all workers of this run

    def once(name: str, make: Callable[[Path], None]) -> Path:
        folder, begun = root / f"shared-{name}", root / f"shared-{name}.begun"
        with FileLock(root / f"shared-{name}.lock"):
            if not folder.exists():
                shutil.rmtree(begun, ignore_errors=True)  # of a worker that failed
                begun.mkdir()
                make(begun)
                begun.rename(folder)
        return folder

    return once


class Built(NamedTuple):
    """A quick build of a built-in recipe, with the settings that it was made with.

    The folder holds ``out`` (the bundle), ``out.candidates``, ``out.samples.html`` and ``cache``: what trains the same
    teacher or student again finds it in a copy of that cache.
    """

    folder: Path
    settings: tuple[str, ...]
    line: tuple[str, ...]

    @property
    def out(self) -> Path:
        """The bundle."""
        return self.folder / "out"


@pytest.fixture(scope="session")
def quick(shared: Shared) -> Callable[[str], Built]:
    """``edgekd build NAME --quick --keep-candidates`` for ort-cpu and openvino, made once in a run; only to be read."""

    def built(name: str) -> Built:
        settings, more = SMALLER.get(name, ()), ("--explain",) if name == "multi-task" else ()
        line = ("build", name, "--quick", "--target", "ort-cpu", "--target", "openvino", *more)
        line += _small.line_of(settings)

        def make(folder: Path) -> None:
            own = ("--keep-candidates", "--out", str(folder / "out"), "--cache", str(folder / "cache"))
            assert cli.run([*line, *own]) == 0

        return Built(shared(name, make), settings, line)

    return built


@pytest.fixture(scope="session")
def digits(quick: Callable[[str], Built]) -> Path:
    """The quick build of digits; only to be read. ``own_digits`` is a copy."""
    return quick("digits").folder


@pytest.fixture(scope="module")
def own_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ``digits`` for the tests of one file, which may change it."""
    return Path(shutil.copytree(digits, tmp_path_factory.mktemp("digits") / "own"))
