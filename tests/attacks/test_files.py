"""What lies in a bundle's folder in place of its files: links, FIFOs, devices, folders, files of another size."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import edgekd
from edgekd.base import child_limits, door
from edgekd.base.errors import DataError, IntegrityError
from edgekd.build import step_keys
from edgekd.learn.data import _folders, text
from edgekd.runtime import bundle as bundles
from edgekd.runtime import manifest, replay

GB40 = 40 * 10**9


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    shutil.move(path, path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def sparse(path: Path) -> None:
    os.truncate(path, GB40)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def absent(path: Path) -> None:
    path.unlink()


PLACED = (fifo, link, endless, dangling, folder, sparse, longer, shorter, absent)
LISTED = ("ort-cpu/model.onnx", "report.json")  # both are read by load
NAMES = ("manifest.json", "manifest.sha256", *LISTED)


@pytest.fixture
def mine(digits: Path, tmp_path: Path) -> Path:
    """The parts of the quick bundle of digits that one variant needs."""
    return Path(shutil.copytree(digits / "out", tmp_path / "bundle"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACED, ids=lambda place: place.__name__)
def test_what_is_no_file_of_the_bundle(name: str, place: Callable[[Path], None], mine: Path) -> None:
    place(mine / name)
    for door_ in (lambda: edgekd.load(mine, target="ort-cpu"), lambda: edgekd.verify(mine)):
        with pytest.raises(IntegrityError):
            door_()


@pytest.mark.parametrize("name", ["ort-cpu", "."])
def test_a_folder_that_is_a_link(name: str, mine: Path) -> None:
    real = mine.parent / "real"
    shutil.move(mine / name, real)
    (mine / name).symlink_to(real)
    with pytest.raises(IntegrityError, match="a symbolic link"):
        edgekd.load(mine, target="ort-cpu")


def test_a_folder_that_becomes_a_link_between_two_looks(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(mine / "ort-cpu", mine.parent / "real")
    (mine / "ort-cpu").symlink_to(mine.parent / "real")
    monkeypatch.setattr("os.path.islink", lambda path: False)
    with pytest.raises(IntegrityError, match=r"ort-cpu.*can't be read"):
        door.open_inside(mine, "ort-cpu/model.onnx", 10**9)


def test_a_size_is_known_before_a_byte_is_read(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = json.loads((mine / "manifest.json").read_text())
    table["additional_metadata"]["edgekd"]["files"]["ort-cpu/model.onnx"]["bytes"] = GB40
    data = bundles.canonical(table)
    (mine / "manifest.json").write_bytes(data)
    (mine / "manifest.sha256").write_bytes(bundles.digest_file(data))
    with pytest.raises(IntegrityError, match="has another size"):
        edgekd.load(mine, target="ort-cpu")


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """``closed(folder)``: it is there, and may be gone through, but not listed: mode 0311, which root does not feel."""

    def close(path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        listed = os.scandir, os.listdir

        def guarded(which: int) -> Callable[..., object]:
            def look(at: object = ".") -> object:
                if isinstance(at, str | os.PathLike) and Path(at) == path:
                    raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
                return listed[which](at)  # type: ignore[call-overload]

            return look

        monkeypatch.setattr(os, "scandir", guarded(0))
        monkeypatch.setattr(os, "listdir", guarded(1))
        return path

    return close


def test_a_folder_that_is_not_to_be_listed(mine: Path, closed: Callable[[Path], Path]) -> None:
    """What Python finds there by its name runs with the examples."""
    folder = closed(mine / "examples" / "python" / "__pycache__")
    with pytest.raises(IntegrityError, match=f"{folder}: can't be read"):
        replay.checked(mine, run=False)


def test_a_folder_that_is_not_to_be_listed_of_a_model_and_of_data(
    tmp_path: Path, closed: Callable[[Path], Path]
) -> None:
    folder = closed(tmp_path / "model" / "inner")
    with pytest.raises(IntegrityError, match="can't be read"):
        step_keys.input_hash(tmp_path / "model")
    with pytest.raises(DataError, match="can't be read"):
        _folders.entries(folder)
    with pytest.raises(DataError, match="can't be read"):
        text.Text(str(folder))._beside.by_role()


def test_what_asks_for_no_more_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second name of the same bytes, a file of holes, and more bytes than any model holds."""
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    before = child_limits.of(tmp_path)
    for i in range(20):
        os.link(tmp_path / "a", tmp_path / f"a{i}")
    (tmp_path / "b").touch()
    os.truncate(tmp_path / "b", GB40)
    assert child_limits.of(tmp_path) == before
    monkeypatch.setattr(child_limits, "SHARE", 1e9)
    monkeypatch.setattr(child_limits, "_size", lambda path: GB40)
    assert child_limits.of(tmp_path).memory <= (17 + 4) * 1e9
    assert child_limits.of(tmp_path).seconds <= 445 + 300


@pytest.mark.parametrize(
    "place", [lambda path: path.symlink_to("/etc"), os.mkfifo, Path.mkdir], ids=["link", "fifo", "folder"]
)
def test_a_signature_that_is_no_file(place: Callable[[Path], None], mine: Path) -> None:
    """The manifest can't list it, so nothing else would have looked."""
    place(mine / "model.sig")
    with pytest.raises(IntegrityError, match=r"model\.sig: not a regular file"):
        replay.checked(mine, run=False)


@pytest.mark.parametrize(
    "pair", [("README.md", "readme.md"), ("caf\xe9", "cafe\u0301"), ("\u1e9e", "ss"), ("A/x", "a/x")]
)
def test_two_names_that_are_one_elsewhere(pair: tuple[str, str]) -> None:
    """On macOS and Windows the one that is unpacked last stands for both."""
    listed = {name: {"bytes": 1, "sha256": "0"} for name in pair}
    with pytest.raises(IntegrityError, match="one name to some disks"):
        manifest._hashes(listed, "m")
    for name in pair:
        assert manifest._hashes({name: listed[name]}, "m") == {name: ("0", 1)}


def test_a_name_of_accents_without_end() -> None:
    """Python's Unicode orders accents one by one: 3.8 s for 40,000 of them, and hours for a manifest of 4 MB."""
    listed = {"a" + "\u0301\u0316" * 500_000: {"bytes": 1, "sha256": "0"}}
    with pytest.raises(IntegrityError, match="too long a name"):
        manifest._hashes(listed, "m")
