"""Files of data: of a size that is looked at before anything is read or unpacked."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.learn.data import _files


def test_a_file_and_what_is_packed_in_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text" * 1000))
    assert _files.content(tmp_path / "a", "data.path") == _files.unpacked(tmp_path / "a", "data.path") == b"text"
    assert _files.unpacked(tmp_path / "a.gz", "data.path") == b"text" * 1000
    assert _files.size_of(tmp_path / "a", "data.path") == 4


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DataError, match=r"data\.path: not a regular file; found 'fifo'"):
        _files.content(tmp_path / "fifo", "data.path")


def test_a_damaged_archive_and_a_bomb_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"a" * 100_000)
    (tmp_path / "half.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="can't be read"):
        _files.unpacked(tmp_path / "half.gz", "data.path")
    monkeypatch.setattr(limits, "SMALL", 1000)
    monkeypatch.setattr(limits, "PACKED", 2)
    (tmp_path / "bomb.gz").write_bytes(packed)
    with pytest.raises(DataError, match="unpacks to more than likely is meant"):
        _files.unpacked(tmp_path / "bomb.gz", "data.path")
