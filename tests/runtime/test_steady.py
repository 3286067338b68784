"""Reading a bundle while a build puts another in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base.errors import IntegrityError
from edgekd.runtime.steady import TRIES, steadily


def bundle(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(text)
    return folder


def test_what_is_damaged_and_stays_is_read_once(tmp_path: Path) -> None:
    folder, reads = bundle(tmp_path / "a", "{}"), []

    def read() -> str:
        reads.append(1)
        raise IntegrityError("damaged")

    with pytest.raises(IntegrityError, match="damaged"):
        steadily(folder, read)
    assert len(reads) == 1


def test_files_of_two_bundles_are_read_again(tmp_path: Path) -> None:
    folder, other = bundle(tmp_path / "a", "old"), bundle(tmp_path / "b", "newer")

    def read() -> str:
        text = (folder / "manifest.json").read_text()
        if text == "old":
            folder.rename(tmp_path / "gone")
            other.rename(folder)
            raise IntegrityError("files of both")
        return text

    assert steadily(folder, read) == "newer"


def test_one_that_never_stands_still_is_told_after_some_tries(tmp_path: Path) -> None:
    folder, reads = bundle(tmp_path / "a", ""), []

    def read() -> str:
        reads.append(1)
        (folder / "manifest.json").write_text("x" * len(reads))
        raise IntegrityError("another each time")

    with pytest.raises(IntegrityError):
        steadily(folder, read)
    assert len(reads) == TRIES
