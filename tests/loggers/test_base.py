"""Folders of runs, and others' errors as edgekd's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base.errors import OutputError
from edgekd.loggers._base import as_output_error, new_folder


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = {new_folder(str(tmp_path / "runs"), "net") for _ in range(5)}
    assert len(folders) == 5 and all(folder.is_dir() and folder.parent.name == "runs" for folder in folders)


def test_errors_of_a_library_say_their_first_line() -> None:
    with pytest.raises(OutputError, match=r"log: can't be written \(No space left\)"), as_output_error(ValueError):
        raise ValueError("No space left\nand so on")
    with pytest.raises(KeyError), as_output_error(ValueError):
        raise KeyError("another")
