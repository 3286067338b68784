"""Hashes of files that are remembered: the right ones, whatever happens to the files and to what is remembered."""

from __future__ import annotations

import hashlib
import os
from io import BufferedReader
from pathlib import Path

import pytest
from _pictures import fill

from edgekd.learn.data import _hashes
from edgekd.learn.data.imagefolder import Imagefolder


def test_a_file_is_hashed_again_only_where_it_may_be_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = fill(tmp_path / "data", 2), tmp_path / "cache"
    source, read = Imagefolder(str(root)), []
    digest = hashlib.file_digest

    def counted(file: BufferedReader, name: str) -> object:
        read.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    monkeypatch.setattr(_hashes, "RECENT", 0)
    plain = source.fingerprint()
    assert len(read) == 6 and not cache.exists()

    def again() -> list[str]:
        read.clear()
        with _hashes.remembered_in(cache):
            assert source.fingerprint() == plain
        return sorted(read)

    assert len(again()) == 6 and again() == []
    place = root / "bee" / "1.png"
    os.utime(place, (1.1e9, 1.1e9))
    assert again() == ["1.png"] and again() == []
    before, about = place.read_bytes(), place.stat()
    place.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))  # of the same size, and then of the same time
    os.utime(place, ns=(about.st_atime_ns, about.st_mtime_ns))
    with _hashes.remembered_in(cache):
        assert source.fingerprint() != plain
    place.write_bytes(before)
    (kept,) = (cache / "hashes").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    assert len(again()) == 6 and again() == []
    other = root / "bee" / "0.jpg"
    (tmp_path / "moved").write_bytes(other.read_bytes())
    (tmp_path / "moved").replace(other)
    assert again() == ["0.jpg"]
    other.rename(root / "bee" / "2.jpg")
    with _hashes.remembered_in(cache):
        assert source.fingerprint() != plain


def test_what_was_just_written_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a"
    for recent, known in ((10**18, 0), (0, 1)):
        place.write_bytes(b"a")
        hashes = _hashes.Hashes(b"")
        monkeypatch.setattr(_hashes, "RECENT", recent)
        assert hashes.sha256(place, "a", "a") == hashes.sha256(place, "a", "a")
        assert len(hashes.entries()) == 2 * known * 48 + 32


def test_what_one_pass_told_is_of_these_data_alone(tmp_path: Path) -> None:
    _hashes.keep("a", b"of nowhere")
    assert _hashes.recall("a") is None
    with _hashes.remembered_in(tmp_path, "one"):
        _hashes.keep("a", b"of one")
        assert _hashes.recall("a") == b"of one" and _hashes.recall("b") is None
        (kept,) = (tmp_path / "hashes").iterdir()
    for data in ("other", ""):
        with _hashes.remembered_in(tmp_path, data):
            assert _hashes.recall("a") is None
    kept.write_bytes(b"of two" + kept.read_bytes()[6:])
    with _hashes.remembered_in(tmp_path, "one"):
        assert _hashes.recall("a") is None


def test_a_cache_that_can_not_be_written_costs_time_alone(tmp_path: Path) -> None:
    source = Imagefolder(str(fill(tmp_path / "data", 2)))
    (tmp_path / "cache").write_text("a file")
    with _hashes.remembered_in(tmp_path / "cache", "one"):
        assert source.fingerprint() == source.fingerprint()
        _hashes.keep("a", b"a")
        assert _hashes.recall("a") is None
