"""What every logger keeps: it writes into its folder alone, whatever it is told, and its library's absence is told."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekd.base import plugins
from edgekd.base.errors import OutputError, RecipeError, UnavailableError
from edgekd.loggers import Logger, Setting

KINDS = plugins.kinds("loggers")
SETTINGS: dict[str, Setting] = {"name": "net", "seed": 0, "student.lr": 1e-3, "augment.flip": True, "long": "x" * 5000}
VALUES = {"int8_qat int8/loss": 0.5, "int8_qat int8/losses/kl": 0.4, "int8_qat int8/validation": 0.75}


def library_of(kind: str) -> bool:
    """Whether what a logger writes with is installed."""
    return plugins.constant("loggers", kind, "MISSING") is None


@pytest.fixture
def logger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logger]:
    if not library_of(request.param):
        pytest.skip(f"{request.param}: its library is not installed")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = os.environ.copy()
    yield plugins.build("loggers", {"kind": request.param, "folder": "runs/of mine"}, "log")
    for name in set(os.environ) - set(before):  # what a logger sets for its library
        del os.environ[name]


@pytest.mark.filterwarnings("ignore")  # of others' libraries
@pytest.mark.parametrize("logger", KINDS, indirect=True)
def test_runs_lie_in_the_folder_alone(logger: Logger, tmp_path: Path) -> None:
    for finished in (True, False):
        run = logger.open("net", SETTINGS)
        for epoch in range(3):
            run.write(VALUES, epoch)
        run.close({"results/ort-cpu/int8-ptq/p50_ms": 0.1} if finished else {}, finished)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "runs"]
    assert not list((tmp_path / "home").iterdir())
    assert any(path.is_file() for path in (tmp_path / "runs" / "of mine").rglob("*"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("logger", KINDS, indirect=True)
def test_a_folder_that_can_not_be_written_is_told(logger: Logger, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OutputError, match="can't be written"):
        logger.open("net", SETTINGS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_library_is_told_with_how_to_install_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"edgekd.loggers.{kind}")
    monkeypatch.setattr(module, "MISSING", "No module named 'it'")
    with pytest.raises(UnavailableError, match=rf"pip install 'edgekd\[{kind}\]'"):
        plugins.build("loggers", {"kind": kind, "folder": "runs"}, "log")


@pytest.mark.parametrize("kind", KINDS)
def test_a_logger_needs_a_folder(kind: str) -> None:
    with pytest.raises(RecipeError, match="needs 'folder'"):
        plugins.build("loggers", {"kind": kind}, "log")
