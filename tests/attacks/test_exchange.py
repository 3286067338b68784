"""A reader that opens the manifest of one bundle and the files of the next is told of no damage that is none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _races
import pytest

import edgekd
from edgekd.base import disk, door
from edgekd.base.errors import IntegrityError
from edgekd.publish import again
from edgekd.runtime import bundle, contents, replay, steady

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "bundle_1"


def _files_of(number: int) -> dict[str, bytes]:
    made: dict[str, bytes] = _races.contents(GOLDEN, number)
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A bundle that stands."""
    disk.replace_folder(tmp_path / "out", _files_of(0))
    return tmp_path / "out"


def exchanging(monkeypatch: pytest.MonkeyPatch, out: Path, before: str, times: int, act: Callable[[int], Any]) -> None:
    """Do something to a bundle just before a file of it is opened, the first few times."""
    done: list[str] = []

    def exchanged(way: Callable[..., Any]) -> Callable[..., Any]:
        def opened(folder: Path, name: str, *more: Any) -> Any:
            if name == before and folder == out and len(done) < times:
                done.append(name)
                act(len(done))
            return way(folder, name, *more)

        return opened

    for module in (bundle, contents):
        monkeypatch.setattr(module, "open_inside", exchanged(door.open_inside))
    monkeypatch.setattr(contents, "hash_inside", exchanged(door.hash_inside))


def verified(out: Path, run: bool = True) -> Any:
    """As ``edgekd.verify``, without a child: there nothing would be exchanged."""
    return steady.steadily(out, lambda: replay.checked(out, run))


READERS: dict[str, Callable[[Path], Any]] = {
    "verify": lambda out: verified(out, run=False),
    "verify and run": lambda out: verified(out),
    "load": edgekd.load,
    "bench": lambda out: edgekd.bench(out, seconds=0.0),
}


@pytest.mark.parametrize(("reader", "times"), [*((reader, 1) for reader in READERS), ("verify", 3), ("load", 3)])
def test_an_exchange_while_it_is_read(reader: str, times: int, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # For load and bench: the model changes in place of a file that they don't read, and its golden answers stay.
    other = {**_files_of(1), "ort-cpu/model.onnx": (GOLDEN / "ort-cpu" / "model.onnx").read_bytes() + b"\x0a\x00"}
    monkeypatch.setattr(steady, "TRIES", 5)

    def act(number: int) -> None:
        files = other if number % 2 else _files_of(0)
        table = json.loads(files["manifest.json"])
        told = table["additional_metadata"]["edgekd"]["files"]
        for name in told:
            digest = hashlib.sha256(files[name]).hexdigest()
            told[name] = {"bytes": len(files[name]), "sha256": digest}
        disk.replace_folder(out, {**files, "manifest.json": bundle.canonical(table)})

    exchanging(monkeypatch, out, "ort-cpu/model.onnx", times, act)
    READERS[reader](out)


def test_what_is_damaged_is_read_once(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    exchanging(monkeypatch, out, "manifest.json", 10, looks.append)
    (out / "ort-cpu" / "model.onnx").write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        verified(out)
    assert len(looks) == 1


def test_a_bundle_that_is_always_another_is_told_of_in_the_end(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(number: int) -> None:
        disk.replace_folder(out, {**_files_of(number), "more": b"x"})

    exchanging(monkeypatch, out, "recipe.json", 100, act)
    with pytest.raises(IntegrityError):
        verified(out)


def test_between_two_renames_there_is_no_bundle(out: Path) -> None:
    tries: list[int] = []

    def read() -> str:
        tries.append(1)
        if len(tries) == 1:
            os.rename(out, out.with_name("gone"))
            try:
                return bundle._read(out, (), None, False).name
            finally:
                os.rename(out.with_name("gone"), out)
        return bundle.read(out).name

    assert steady.steadily(out, read) == "old"


def test_a_page_is_of_one_bundle(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Path(shutil.copytree(digits / "out", tmp_path / "out"))
    exchanging(monkeypatch, out, "samples.json", 1, lambda _: disk.replace_folder(out, _with_note(digits / "out")))
    assert again.write(out, tmp_path / "page.html").read_bytes()


def _with_note(source: Path) -> dict[str, bytes]:
    """The same bundle with other samples."""
    files = {path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    files["samples.json"] += b" "
    table = json.loads(files["manifest.json"])
    told = table["additional_metadata"]["edgekd"]["files"]["samples.json"]
    told.update(bytes=len(files["samples.json"]), sha256=hashlib.sha256(files["samples.json"]).hexdigest())
    manifest = bundle.canonical(table)
    return {**files, "manifest.json": manifest, "manifest.sha256": bundle.digest_file(manifest)}
