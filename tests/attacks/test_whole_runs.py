"""Whole runs of the command with a kill or a fault at a file-system call; ``benchmarks/whole_*.py`` try hundreds.

The runs are forks of the tests' process. They build for ONNX Runtime alone, from a full cache, over the bundle of a
quick build for two targets; no thread that a fork lacks is waited for there.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import _faults as injection
import _small
import _whole as whole
import numpy as np
import pytest
import whole_faults as faults
from optuna.study import StudyDirection

from edgekd.base import disk
from edgekd.base.door import open_inside
from edgekd.base.errors import ResourceError
from edgekd.build.store import Store, sha256
from edgekd.runtime.jobs import BenchJob, write_job
from edgekd.tune import study

FILES = {"a.bin": b"one", "b.bin": b"two" * 1000}
OPTIONS = ("--quick", "--target", "ort-cpu", "--out", "out", "--cache", "cache", "--overwrite")
LINE = ("build", "digits", *OPTIONS, *_small.line_of(_small.DIGITS))
OVER = whole.Case("over another", LINE, "both", "built")
VERIFY = whole.Case("verify", ("verify", "out"), "built", None)


@pytest.fixture(scope="module")
def root(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs are: what stands before them."""
    place = tmp_path_factory.mktemp("whole")
    both = place / "scenes" / "both"
    shutil.copytree(digits, both, ignore=shutil.ignore_patterns("*.candidates"))
    for name in ("tmp", "home"):
        (both / name).mkdir()
    return place


@pytest.fixture(scope="module")
def calls(root: Path) -> list[Any]:
    """What the build calls where nothing fails; its folder is the scene that is wanted."""
    found: list[Any] = whole.calls_of(OVER, root)[""]
    (root / "counted").rename(root / "scenes" / "built")
    return found


@pytest.fixture
def known(root: Path, calls: list[Any]) -> dict[str, Path]:
    return {name: root / "scenes" / name / "out" for name in ("built", "both")}


def first(calls: list[Any], name: str, inside: str) -> int:
    return next(i + 1 for i, call in enumerate(calls) if call.name == name and inside in call.path)


def test_a_build_that_is_disturbed(root: Path, calls: list[Any], known: dict[str, Path]) -> None:
    begins = first(calls, "create", "/.out.edgekd-")
    swap = first(calls, "swap", "/.out.edgekd-")
    write = first(calls[begins:], "write", "/.out.edgekd-") + begins
    seen = []
    for kind, at in (("lie", write), ("ENOSPC", begins), ("kill", swap)):
        # Each from the same scene: what an earlier one left in the cache would be fewer calls.
        folder = whole.copied(root / "scenes" / "both", root / "run")
        fault = whole.Fault(kind, "", at)
        ended = whole.forked(LINE, folder, fault)
        assert ended.code == (-signal.SIGKILL if kind == "kill" else 6), ended.said
        if kind != "kill":
            assert not any(faults.told_wrong(ended, fault, calls[at - 1], root / "counted").values()), ended.said
        seen.append(whole.standing(folder / "out", known))
    assert seen == ["both", "both", "both"]
    again = whole.forked(LINE, folder)
    assert again.code == 0, again.said
    assert whole.standing(folder / "out", known) == "built"
    assert whole.left(folder) == []


@pytest.mark.parametrize("name", ["manifest.json", "ort-cpu/model.onnx", "report.json", ""])
@pytest.mark.parametrize("kept", [0.0, 0.5, None], ids=["empty", "half", "gone"])
def test_what_is_not_whole_is_seen(name: str, kept: float | None, known: dict[str, Path], tmp_path: Path) -> None:
    out = Path(shutil.copytree(known["built"], tmp_path / "out"))
    assert whole.standing(out, known) == "built"
    if name == "":
        shutil.rmtree(out)
        assert whole.standing(out, known) == "nothing"
        return
    data = (out / name).read_bytes()
    (out / name).unlink() if kept is None else (out / name).write_bytes(data[: int(len(data) * kept)])
    assert whole.standing(out, known) == "half"


def test_a_verify_that_is_disturbed(root: Path, known: dict[str, Path]) -> None:
    found = whole.calls_of(VERIFY, root)
    folder = whole.copied(root / "scenes" / "built", root / "run")
    temporary, opened = first(found[""], "mkdir", "/edgekd-child-"), first(found["0"], "open", "README.md")
    # The kills last: what they leave is cleared by the next run, which makes more calls for that.
    disturbed = (("EIO", "", temporary), ("EIO", "0", opened), ("kill", "0", 9), ("kill", "", temporary + 1))
    for kind, process, at in disturbed:
        ended = whole.forked(VERIFY.line, folder, whole.Fault(kind, process, at))
        assert ended.code == (-signal.SIGKILL if (kind, process) == ("kill", "") else 6), ended.said
        assert "Traceback" not in ended.said
    again = whole.forked(VERIFY.line, folder)
    assert again.code == 0, again.said
    assert whole.standing(folder / "out", known) == "built"
    assert whole.left(folder) == []


def test_a_fault_is_told_by_the_name_that_the_user_knows(tmp_path: Path) -> None:
    with injection.injected(injection.Injector()) as counted:
        disk.replace_folder(tmp_path / "out", FILES)
    for at in injection.points(counted, "lie"):
        with injection.injected(injection.Injector("lie", at)), pytest.raises(ResourceError) as caught:
            disk.replace_folder(tmp_path / "out", FILES)
        assert str(caught.value).startswith(f"{tmp_path}/out/")


def test_a_handle_that_fails_to_close_is_not_closed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"1")
    real, closed = os.close, list[int]()

    def close(handle: int) -> None:
        real(handle)
        closed.append(handle)
        if len(closed) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", close)
    with pytest.raises(ResourceError, match="Input/output error"):
        open_inside(tmp_path, "a/b/c", 10)
    assert len(closed) == 2


def test_what_a_job_of_bench_holds_is_read_back(tmp_path: Path) -> None:
    job = BenchJob("ort", {"fp32": {"model.onnx": b"12345678"}}, "fp32", {"x": np.zeros((1, 2), np.float32)})
    with injection.injected(injection.Injector()) as counted:
        write_job(job, tmp_path)
    for i, at in enumerate(points := injection.points(counted, "lie")):
        (folder := tmp_path / str(i)).mkdir()
        with injection.injected(injection.Injector("lie", at)), pytest.raises(ResourceError, match=str(folder)):
            write_job(job, folder)
    assert len(points) == 3


@pytest.mark.parametrize("kind", ["lie", "flip", "EIO"])
def test_a_journal_that_the_disk_does_not_keep_is_as_it_was(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tune" / "study.journal"
    study.open_storage(str(path)).create_new_study([StudyDirection.MAXIMIZE], "before")
    before, storage = path.read_bytes(), study.open_storage(str(path))
    with injection.injected(injection.Injector(under=str(tmp_path))) as counted:
        storage.create_new_study([StudyDirection.MAXIMIZE], "counted")
    path.write_bytes(before)
    storage = study.open_storage(str(path))
    fault = injection.Injector(kind, counted.writes[0], str(tmp_path))
    with injection.injected(fault), pytest.raises(ResourceError, match=r"study\.journal"):
        storage.create_new_study([StudyDirection.MAXIMIZE], "lost")
    assert kind == "EIO" or path.read_bytes() == before  # Python writes again what it has, as it closes the file
    again = study.open_storage(str(path))
    again.create_new_study([StudyDirection.MAXIMIZE], "after")
    assert [one.study_name for one in again.get_all_studies() if one.study_name != "lost"] == ["before", "after"]


def test_a_lock_that_a_killed_worker_left_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    links: list[str] = []
    link = os.symlink

    def noted(to: str, at: str) -> None:
        links.append(str(to))
        link(to, at)

    monkeypatch.setattr("os.symlink", noted)
    study.open_storage("tune/study.journal").create_new_study([StudyDirection.MAXIMIZE], "before")
    # Optuna looks at the lock's age through the link: of one that leads nowhere it never learns it.
    assert links and all(Path(to).is_absolute() for to in links)
    os.symlink("tune/study.journal", tmp_path / "tune" / "study.journal.lock")
    opening = threading.Thread(target=study.open_storage, args=("tune/study.journal",), daemon=True)
    opening.start()
    opening.join(10)
    assert not opening.is_alive()


def test_the_scratch_of_a_step_whose_result_is_kept_goes(tmp_path: Path) -> None:
    done, going, other = (sha256(name) for name in (b"done", b"going", b"other"))
    store = Store(tmp_path)
    for key in (done, going, other):
        (tmp_path / "scratch" / key).mkdir(parents=True)
    for key in (done, going):
        store.put(key, FILES)
    with store.scratch(going):
        store.clear()
        assert sorted(one.name for one in (tmp_path / "scratch").iterdir() if one.is_dir()) == sorted([going, other])
