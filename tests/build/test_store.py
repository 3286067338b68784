"""Only successes are kept, and they are verified when read."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from edgekd.base import aside
from edgekd.base.disk import disk, exchange, replace_folder
from edgekd.base.errors import OutputError, ResourceError
from edgekd.build.store import Store, canonical, sha256

KEY = sha256(b"key")


def test_what_was_put_is_got(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.get(KEY) is None
    store.put(KEY, {"a.bin": b"1", "b.json": b"{}"})
    assert store.get(KEY) == {"a.bin": b"1", "b.json": b"{}"}


def test_a_damaged_artifact_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, {"a.bin": b"12345"})
    next(tmp_path.rglob("a.bin")).write_bytes(b"12346")
    assert store.get(KEY) is None
    assert not store.has(KEY)
    store.put(KEY, {"a.bin": b"12345"})
    assert store.get(KEY) == {"a.bin": b"12345"}


def test_an_artifact_without_its_index_is_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, {"a.bin": b"1"})
    next(tmp_path.rglob("index.json")).unlink()
    assert store.get(KEY) is None


def test_scratch_stays_when_the_step_fails_and_goes_when_it_succeeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.scratch(KEY) as folder:
        (folder / "checkpoint").write_bytes(b"1")
        raise RuntimeError
    with store.scratch(KEY) as folder:
        assert (folder / "checkpoint").read_bytes() == b"1"
    assert not folder.exists()


def test_prune_frees_what_is_old(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, {"a.bin": b"x" * 1000})
    written = next(tmp_path.rglob("index.json")).stat().st_mtime
    assert store.prune(1.0, now=written + 10) == 0
    assert store.prune(1.0, now=written + 100_000) >= 1000
    assert store.size()[0] == 0


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, ResourceError), (errno.EACCES, OutputError), (errno.EROFS, OutputError)]
)
def test_what_a_disk_refuses_is_told(tmp_path: Path, code: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(tmp_path)), disk(tmp_path):
        raise OSError(code, "no")


def test_a_build_that_was_faster_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, rename = Store(tmp_path), os.rename

    def late(source: Path, place: Path) -> None:
        monkeypatch.undo()
        Store(tmp_path).put(KEY, {"a.bin": b"1"})
        rename(source, place)

    monkeypatch.setattr("edgekd.build.store.os.rename", late)
    assert store.put(KEY, {"a.bin": b"1"}) == {"a.bin": b"1"}
    assert store.get(KEY) == {"a.bin": b"1"}
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_prune_takes_reports_and_leaves_what_is_not_edgekds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    gone = [tmp_path / "reports" / "0123456789abcdef" / "samples.html", tmp_path / "seen" / f"{'a' * 64}.json"]
    kept = [
        tmp_path / "reports" / "mine" / "page.html",
        tmp_path / "asked" / ("b" * 64),
        tmp_path / "tune" / "x.journal",
    ]
    for file in (*gone, *kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 100)
    assert store.prune(1.0, now=time.time() + 10) == 0
    assert store.prune(0.0, now=time.time() + 10) >= 200
    assert not any(file.exists() for file in gone) and all(file.exists() for file in kept)


def test_prune_leaves_what_a_build_is_using(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.scratch(KEY) as folder:
        (folder / "checkpoint").write_bytes(b"1")
        assert store.prune(0.0, now=time.time() + 1) == 0
        assert (folder / "checkpoint").is_file()


def test_a_file_in_place_of_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        Store(tmp_path / "file").put(KEY, {"a.bin": b"1"})


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    replace_folder(out, {"a/b": b"1", "c": b"2"})
    left = aside.name_of(out)
    left.mkdir()
    (left / "left").write_text("by a build that was killed")
    with pytest.raises(OutputError, match="exists"):
        replace_folder(out, {"d": b"3"}, lambda: False)
    replace_folder(out, {"d": b"3"})
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "d"]


def test_a_full_disk_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    replace_folder(out, {"a": b"1"})

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("edgekd.base.disk.write_synced", full)
    with pytest.raises(ResourceError):
        replace_folder(out, {"b": b"2"})
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]


def test_exchange_swaps_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "who").read_text() == "a"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_canonical_json_has_one_spelling() -> None:
    assert canonical({"b": 1, "a": [1.5, None]}) == canonical({"a": [1.5, None], "b": 1}) == b'{"a":[1.5,null],"b":1}'
