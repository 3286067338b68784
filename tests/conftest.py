"""Shared fixtures. Training in tests is tiny, on one thread, and never sees the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock  # comes with torch

from edgekd import cli

Shared = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("EDGEKD_CACHE", str(tmp_path / "cache"))


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


@pytest.fixture(scope="session")
def digits(shared: Shared) -> Path:
    """``edgekd build digits --quick --keep-candidates`` for ort-cpu and openvino, made once in a run.

    The folder holds ``out`` (the bundle), ``out.candidates``, ``out.samples.html`` and ``cache``: what trains the same
    teacher or student again finds it in a copy of that cache. Only to be read; ``own_digits`` is a copy.
    """

    def make(folder: Path) -> None:
        line = ["build", "digits", "--quick", "--target", "ort-cpu", "--target", "openvino", "--keep-candidates"]
        assert cli.run([*line, "--out", str(folder / "out"), "--cache", str(folder / "cache")]) == 0

    return shared("digits", make)


@pytest.fixture(scope="module")
def own_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ``digits`` for the tests of one file, which may change it."""
    return Path(shutil.copytree(digits, tmp_path_factory.mktemp("digits") / "own"))
