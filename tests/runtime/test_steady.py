"""Reading a bundle while a build puts another in its place."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd.base.errors import IntegrityError, UsageError
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


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("b.zip", "a file, and a bundle is a folder; unpack an archive first"),
        ("out/manifest.json", "a bundle is a folder; give .*out$"),
        ("out/ort-cpu/model.onnx", "a bundle is a folder; give .*out$"),
        ("out/ort-cpu", "a folder of a bundle, and not the whole; give .*out$"),
        (None, "not a path; allowed: the folder of a bundle"),
        (b"out", "not a path; found b'out'"),
    ],
)
def test_what_is_no_bundles_folder_is_told_with_the_one_that_is(place: Any, message: str, tmp_path: Path) -> None:
    bundle(tmp_path / "out", "{}")
    (tmp_path / "out/ort-cpu").mkdir()
    (tmp_path / "out/ort-cpu/model.onnx").write_bytes(b"")
    (tmp_path / "b.zip").write_bytes(b"PK")
    path = tmp_path / place if isinstance(place, str) else place
    for opens in (edgekd.load, edgekd.verify, edgekd.bench):
        with pytest.raises(UsageError, match=message):
            opens(path)


def test_a_link_is_told_with_the_folder(tmp_path: Path) -> None:
    bundle(tmp_path / "out", "{}")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(IntegrityError, match=r"a symbolic link; give the folder itself: .*out$"):
        edgekd.load(tmp_path / "link")


def test_what_a_model_is_not_asked_for_is_told(digits: Path) -> None:
    model: Any = edgekd.load(digits / "out", target="ort-cpu", plugins="a_module_of_nobody:Task")
    for ask in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(UsageError, match="can't be copied or pickled; open its bundle where it is to run"):
            ask(model)
    with pytest.raises(UsageError, match="run: arrays by the names of inputs; found 'ndarray'; allowed: input"):
        model.run(np.zeros((1, 1, 8, 8), np.float32))
    with pytest.raises(UsageError, match="plugins: no list of plugins"):
        edgekd.load(digits / "out", plugins=3)  # type: ignore[arg-type]
