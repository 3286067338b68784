"""Where a bundle may go is judged before anything trains, and a failed build leaves nothing beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

import edgekd
from edgekd import cli
from edgekd.base import disk
from edgekd.base.errors import OutputError, ResourceError, UsageError
from edgekd.build import request as requests
from edgekd.runtime.local import Settings
from edgekd.tune import search


def test_places_that_no_bundle_can_be_renamed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "inner").mkdir(parents=True)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path / "here" / "inner")
    above, inner = tmp_path / "here", tmp_path / "here" / "inner"
    for out in (Path("."), Path(".."), Path("a/.."), above, inner, Path("/"), Path("/proc")):
        with pytest.raises(OutputError, match=r"can't be replaced .* allowed: a folder inside it"):
            requests.check_writable(out)
    for name in ("link", "dangling"):
        with pytest.raises(OutputError, match=r"a symbolic link; found .* allowed: the folder itself"):
            requests.check_writable(tmp_path / name)
    for out in (Path("x" * 251), Path("x" * 240)):  # the second with .samples.html
        with pytest.raises(OutputError, match=os.strerror(errno.ENAMETOOLONG)):
            requests.check_writable(out)
    for out in (Path("/proc/new"), Path("/proc/deep/er")):  # says of itself that it may be written
        with pytest.raises(OutputError, match="can't be written"):
            requests.check_writable(out)
    for out in (Path("new"), Path("../inner/new"), Path("deep/er/new"), tmp_path / "link" / "new", Path("x" * 200)):
        requests.check_writable(out)
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
    requests.check_writable(tmp_path / "deep" / "out")
    (tmp_path / "manifest.sha256").touch()
    with pytest.raises(OutputError, match="inside of another bundle"):
        requests.check_writable(tmp_path / "deep" / "out")
    requests.check_writable(tmp_path)


def test_paths_of_options_and_arguments_are_read_as_a_shell_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli.run(["cache", "--cache", "~/kept", "--json"]) == 0
    assert f'"{tmp_path / "kept"}"' in capsys.readouterr().out and not (tmp_path / "~").exists()
    monkeypatch.setenv("EDGEKD_CACHE", "~/other")
    assert disk.cache_root() == tmp_path / "other" and disk.users_path("~", "x") == tmp_path
    assert disk.users_path("a/~/b~", "x") == Path("a/~/b~")
    taken: list[Path] = []
    monkeypatch.setattr(requests, "make", lambda *_, **given: taken.extend((given["out"], given["cache"])))
    monkeypatch.setattr(requests, "standing", lambda request: {"targets": {}})
    edgekd.build("digits", out="~/x", cache=Path("~/c"), progress=False)
    assert taken == [tmp_path / "x", tmp_path / "c"]
    wrong: list[dict[str, Any]] = [{"out": ""}, {"cache": ""}]
    for given in wrong:
        with pytest.raises(UsageError, match=f"{next(iter(given))}: an empty path"):
            edgekd.build("digits", progress=False, **given)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e300])
def test_seconds_and_gigabytes_are_numbers_in_python_too(tmp_path: Path, value: float) -> None:
    calls = [
        lambda: edgekd.verify(tmp_path, max_seconds=value),
        lambda: edgekd.verify(tmp_path, max_memory_gb=value),
        lambda: Settings(seconds=value),
        lambda: search.Wanted({}, seconds=value),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="out of range"):
            call()


def test_a_wish_that_is_no_number() -> None:
    with pytest.raises(UsageError, match=r"edgekd tune: max_drop: .*finite"):
        search.run("digits", (), (), search.Wanted({"max_drop": float("nan")}), build=lambda *_: None)
    with pytest.raises(UsageError, match="--storage: an empty path"):
        search.Wanted({}, storage="")
