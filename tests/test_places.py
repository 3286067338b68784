"""Where a bundle may go is judged before anything trains, and a failed build leaves nothing beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgekd import disk, orders
from edgekd.errors import OutputError, ResourceError


def test_places_that_no_bundle_can_be_renamed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "inner").mkdir(parents=True)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path / "here" / "inner")
    above, inner = tmp_path / "here", tmp_path / "here" / "inner"
    for out in (Path("."), Path(".."), Path("a/.."), above, inner, Path("/"), Path("/proc")):
        with pytest.raises(OutputError, match=r"can't be replaced .* allowed: a folder inside it"):
            orders.check_writable(out)
    for name in ("link", "dangling"):
        with pytest.raises(OutputError, match=r"a symbolic link; found .* allowed: the folder itself"):
            orders.check_writable(tmp_path / name)
    for out in (Path("x" * 251), Path("x" * 240)):  # the second with .samples.html
        with pytest.raises(OutputError, match=os.strerror(errno.ENAMETOOLONG)):
            orders.check_writable(out)
    for out in (Path("/proc/new"), Path("/proc/deep/er")):  # says of itself that it may be written
        with pytest.raises(OutputError, match="can't be written"):
            orders.check_writable(out)
    for out in (Path("new"), Path("../inner/new"), Path("deep/er/new"), tmp_path / "link" / "new", Path("x" * 200)):
        orders.check_writable(out)
    assert not any(inner.iterdir())


def test_a_file_is_put_back_where_what_follows_fails(tmp_path: Path) -> None:
    page = tmp_path / "net.samples.html"
    for before in (None, b"of the bundle that stands"):
        if before is not None:
            page.write_bytes(before)
        with pytest.raises(ResourceError), disk.as_it_was(page):
            disk.replace_file(page, b"of the one that could not be written")
            raise ResourceError("the disk is full")
        assert (page.read_bytes() if page.exists() else None) == before
        assert [path.name for path in tmp_path.iterdir()] == ([] if before is None else [page.name])
    with disk.as_it_was(page):
        disk.replace_file(page, b"new")
    assert page.read_bytes() == b"new"


def test_a_bundle_holds_no_other_one(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch()  # of something else
    orders.check_writable(tmp_path / "deep" / "out")
    (tmp_path / "manifest.sha256").touch()
    with pytest.raises(OutputError, match="inside of another bundle"):
        orders.check_writable(tmp_path / "deep" / "out")
    orders.check_writable(tmp_path)
