"""What stands at a path, looked at without following links, and removed whatever it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekd.base import places


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file, a folder with a file, a link to it, a dangling link and a FIFO."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_bytes(b"123")
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def test_links_are_links_and_not_what_they_lead_to(folder: Path) -> None:
    names = ("file", "folder", "link", "dangling", "fifo", "none", "file/inside")
    kinds = [places.kind(folder / name) for name in names]
    assert kinds == ["file", "folder", "other", "other", "other", "nothing", "nothing"]


@pytest.mark.parametrize("name", ["file", "folder", "link", "dangling", "fifo", "none"])
def test_whatever_it_is_goes_and_nothing_else_does(name: str, folder: Path) -> None:
    places.remove(folder / name)
    assert not os.path.lexists(folder / name)
    assert (folder / "folder" / "inner").exists() == (name != "folder")


def test_a_folder_that_is_closed_to_its_owner_goes_too(folder: Path) -> None:
    (folder / "folder").chmod(0)
    places.remove(folder / "folder")
    assert not os.path.lexists(folder / "folder")


def test_a_folder_takes_the_place_of_a_file_and_a_link_to_one_is_one(folder: Path) -> None:
    for name in ("file", "dangling", "link", "new/deep"):
        places.make_folder(folder / name)
        assert (folder / name).is_dir()
    assert (folder / "link").is_symlink() and (folder / "link" / "inner").exists()


def test_a_folder_weighs_what_is_in_it_and_links_nothing(folder: Path) -> None:
    assert [places.weight(folder / name) for name in ("file", "folder", "link", "none")] == [5, 3, 0, 0]
    assert places.weight(folder) == 8


def test_a_path_that_means_another_file_by_now(folder: Path) -> None:
    handle = os.open(folder / "file", os.O_RDONLY)
    try:
        assert places.is_same(handle, folder / "file")
        (folder / "other").write_bytes(b"12345")
        os.replace(folder / "other", folder / "file")
        assert not places.is_same(handle, folder / "file") and not places.is_same(handle, folder / "none")
    finally:
        os.close(handle)
