"""What is written beside its place: nothing of anybody's is followed or lost, and a fault at any call is told."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _faults as injection
import _primitives as primitives
import numpy as np
import pytest
import torch

from edgekd import cli
from edgekd.base import aside, disk, faults, locks
from edgekd.base.errors import EdgekdError, OutputError, ResourceError
from edgekd.build import request as requests
from edgekd.build.store import Store, sha256
from edgekd.learn import checkpoint
from edgekd.publish import again
from edgekd.runtime import bench
from edgekd.runtime.backends.ort import backend as ort
from edgekd.runtime.left import check_outcome

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "bundle_1"
KEY = sha256(b"key")
FILES = {"a.bin": b"one", "deep/b.bin": b"two" * 1000}


def temporary(root: Path) -> None:
    with disk.temporary("test") as folder:
        disk.write_synced(folder / "a", b"1")


WRITERS: dict[str, Callable[[Path], Any]] = {
    "bundle": lambda root: disk.replace_folder(root / "out", FILES),
    "page": lambda root: disk.replace_file(root / "out.samples.html", b"page"),
    "cache": lambda root: Store(root).put(KEY, {"a.bin": b"1"}),
    "temporary": temporary,
}


def names_of(writer: str, root: Path, token: str) -> Path:
    """The name that a writer would use if its random token were known."""
    places = {
        "bundle": root / f".out.edgekd-{token}",
        "page": root / f".out.samples.html.edgekd-{token}",
        "cache": root / "artifacts" / KEY[:2] / f".{KEY}.edgekd-{token}",
        "temporary": root / f"edgekd-test-{token}",
    }
    places[writer].parent.mkdir(parents=True, exist_ok=True)
    return places[writer]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder, which is also ``$TMPDIR``."""
    (tmp_path / "shared").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "shared"))
    return tmp_path / "shared"


@pytest.mark.parametrize("planted", ["link to a folder", "link to a file", "dangling", "folder", "file", "fifo"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_name_that_somebody_guessed_is_left_alone(
    writer: str, planted: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = here.parent / "victim"
    victim.mkdir()
    (victim / "a.bin").write_text("precious")
    monkeypatch.setattr(locks, "fcntl", None)  # so that what stands there counts as somebody's who is writing
    tokens = iter(["ab", "cd"])
    monkeypatch.setattr(aside, "_digits", lambda n: next(tokens, "ef") * n)
    place = names_of(writer, here, "ab" * (16 if writer == "temporary" else 8))
    if planted == "folder":
        place.mkdir()
        (place / "a.bin").write_text("precious")
    elif planted == "file":
        place.write_text("precious")
    elif planted == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to({"link to a folder": victim, "link to a file": victim / "a.bin"}.get(planted, "nowhere"))
    before = os.lstat(place)
    WRITERS[writer](here)
    assert os.lstat(place) == before
    assert [path.name for path in victim.iterdir()] == ["a.bin"]
    assert (victim / "a.bin").read_text() == "precious"
    assert "nowhere" not in os.listdir(here)
    monkeypatch.setattr(aside, "_digits", lambda n: "ab" * n)  # and where every name is taken, that is told
    with pytest.raises(EdgekdError, match="exists"):
        WRITERS[writer](here)
    assert (victim / "a.bin").read_text() == "precious"


def killed(act: Callable[[Path], Any], root: Path, name: str) -> None:
    """Do something in a fork that is killed at the last call of a name."""
    child = os.fork()
    if child == 0:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            real(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, name, call)
        act(root)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("writer", WRITERS)
def test_the_next_start_clears_what_a_killed_one_left(writer: str, here: Path) -> None:
    killed(WRITERS[writer], here, "fsync")
    left = [path for path in here.rglob("*") if aside.NAMES.fullmatch(path.name) or path.name.startswith("edgekd-")]
    assert len(left) == 1
    disk.clear_leftovers(here / "out")
    disk.clear_leftovers(here / "out.samples.html")
    Store(here).clear()
    with disk.temporary("other"):
        pass
    assert not left[0].exists()


@pytest.mark.parametrize("writer", ["bundle", "cache"])
def test_what_is_no_leftover_stays(writer: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = names_of(writer, here, "ab" * 8)
    shapes = [left.with_name(left.name[:-1]), left.with_name(left.name.replace("edgekd", "other"))]
    for path in (left, *shapes):
        path.mkdir()
    linked = names_of(writer, here, "cd" * 8)
    linked.symlink_to(here.parent)

    def clear() -> None:
        aside.clear(left.parent)
        disk.clear_leftovers(here / "out")
        Store(here).clear()

    monkeypatch.setattr(os, "geteuid", lambda: 12345)  # another user's
    clear()
    assert left.exists()
    monkeypatch.undo()
    clear()
    assert not left.exists()
    assert all(path.exists() for path in shapes) and linked.is_symlink()


@pytest.mark.parametrize("known", [True, False], ids=["locks", "no locks"])
def test_what_is_being_written_stays(known: bool, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not known:
        monkeypatch.setattr(locks, "fcntl", None)
    place = here / "artifacts" / KEY[:2] / KEY
    place.parent.mkdir(parents=True)
    with (
        aside.folder(here / "out") as bundle,
        aside.file(here / "page") as (page, _),
        aside.folder(place) as entry,
        disk.temporary("test") as folder,
    ):
        aside.clear(here)
        disk.clear_leftovers(here / "out")
        disk.replace_folder(here / "out", FILES)
        Store(here).clear()
        Store(here).put(KEY, {"a": b"1"})
        Store(here).prune(0.0, 1e12)
        with disk.temporary("other"):
            pass
        assert bundle.is_dir() and page.is_file() and entry.is_dir() and folder.is_dir()
    assert not any(path.exists() for path in (bundle, page, entry, folder))


def test_an_exchange_by_two_renames_that_is_killed_is_put_back(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.replace_folder(here / "out", FILES)
    monkeypatch.setattr(disk, "_swap", lambda new, old: False)
    killed(lambda root: disk.replace_folder(root / "out", {"other": b"1"}), here, "rename")
    assert not (here / "out").exists()
    disk.clear_leftovers(here / "out")
    assert injection.tree(here / "out") == FILES
    disk.clear_leftovers(here / "out")
    assert os.listdir(here) == ["out"]


@pytest.mark.parametrize("kind", ["kill", "ENOSPC", "EIO", "EMFILE", "short", "lie", "flip"])
def test_a_fault_at_any_call(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_CHUNK", 1000)
    tally = injection.Tally()
    for number, primitive in enumerate(primitives.drawn(number_of := len(kind))):
        root = tmp_path / f"{number}"
        root.mkdir()
        counted = injection.calls_of(primitive, root, primitives.PARTS)
        points = injection.points(counted, kind)
        most = 3 if kind == "kill" else 6
        for at in points[number_of % 3 :: max(1, len(points) // most)]:
            shutil.rmtree(root)
            root.mkdir()
            injection.try_one(primitive, root, kind, at, tally, primitives.PARTS)
    assert sum(tally.tries.values()) > 20
    assert not tally.wrong, tally.where


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_fault_is_an_error_that_names_the_file(code: int) -> None:
    with pytest.raises(EdgekdError, match="some/file") as caught, disk.disk(Path("some/folder")):
        raise OSError(code, os.strerror(code), "some/file")
    with pytest.raises(EdgekdError, match="some/folder"), disk.disk(Path("some/folder")):
        raise OSError(code, os.strerror(code))
    assert caught.value.exit_code == (2 if code in faults.REFUSED else 6)


def test_a_stranger_who_holds_the_lock_of_a_shared_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.05)
    with locks.folder(here) as ours:
        assert ours
        WRITERS["bundle"](here)
        WRITERS["page"](here)
        with locks.folder(here) as ours_too:
            assert not ours_too
    assert sorted(os.listdir(here)) == ["out", "out.samples.html"]


@pytest.mark.parametrize(("name", "code"), [("EIO", 6), ("EMFILE", 6), ("ESTALE", 6), ("ENOSPC", 6), ("EACCES", 2)])
@pytest.mark.parametrize("call", ["listdir", "scandir", "lstat"])
def test_a_fault_while_the_cache_is_pruned(
    name: str, code: int, call: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    WRITERS["cache"](here)
    real = getattr(os, call)

    def failing(path: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(path, str | Path) and here in Path(path).parents:
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)), str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, call, failing)
    ended = cli.run(["cache", "--prune", "0", "--cache", str(here)])
    monkeypatch.undo()
    printed = capsys.readouterr().err
    if (call, name) == ("scandir", "EACCES"):  # somebody else's part of a shared cache weighs nothing
        assert ended == 0
    else:
        assert ended == code and str(here) in printed, printed


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "lie"])
def test_a_checkpoint_that_the_disk_does_not_take(kind: str, tmp_path: Path) -> None:
    net = torch.nn.Linear(20, 3)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    history: list[checkpoint.EpochRecord] = [
        {"epoch": 0, "loss": 1.0, "losses": {}, "lr": 0.1, "validation": 0.5, "seconds": 1.0, "samples_per_s": 9.0}
    ]
    checkpoint.save(tmp_path, net, optimizer, checkpoint.TrainingState(history))
    with injection.injected(injection.Injector(), locks, disk) as counted:
        checkpoint.save(tmp_path, net, optimizer, checkpoint.TrainingState(history))
    points = injection.points(counted, kind)
    for at in points:
        with injection.injected(injection.Injector(kind, at), locks, disk):
            try:
                checkpoint.save(tmp_path, net, optimizer, checkpoint.TrainingState(history))
            except EdgekdError as err:
                assert str(tmp_path) in str(err)
            else:
                assert kind != "lie"
        found = checkpoint.restore(tmp_path, net, optimizer)
        assert found is not None and found.history == history
    checkpoint.save(tmp_path, net, optimizer, checkpoint.TrainingState([]))
    assert os.listdir(tmp_path) == [checkpoint.FILE]


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    net = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    place = tmp_path / checkpoint.FILE
    for plant in (place.mkdir, lambda: os.mkfifo(place), lambda: place.symlink_to("/dev/zero")):
        plant()
        assert checkpoint.restore(tmp_path, net, optimizer) is None
        checkpoint.save(tmp_path, net, optimizer, checkpoint.TrainingState([]))
        place.unlink()


WITHOUT = """
import sys
for name in ("fcntl", "resource"):
    sys.modules[name] = None
import importlib, pathlib, pkgutil
import numpy as np
import edgekd, edgekd.base, edgekd.runtime
found = edgekd.load(sys.argv[1]).predict(np.zeros((4, 4, 1), np.float32))
for package in (edgekd.base, edgekd.runtime):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
from edgekd.base import disk
from edgekd.build import store
from edgekd.runtime import cold
disk.replace_folder(pathlib.Path(sys.argv[2], "out"), {"a": b"1"})
kept = store.Store(pathlib.Path(sys.argv[2], "cache"))
with kept.scratch("ab"):
    kept.put("ab", {"a": b"1"})
assert kept.get("ab") and cold.peak_memory() is None
print(found.label)
"""


def test_where_the_system_knows_no_locks_and_no_limits(tmp_path: Path) -> None:
    line = [sys.executable, "-c", WITHOUT, str(GOLDEN), str(tmp_path)]
    done = subprocess.run(
        line, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("0", "1", "2")


@pytest.mark.parametrize("left", [b"", b'[{"cat": "Node", "na', b"\xff\xfe", None])
def test_a_profile_that_was_not_written(left: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, real = ort.Ort(), ort.Ort.compile

    def compiled(self: ort.Ort, files: Any, options: Any, *more: Any) -> Any:
        session = real(self, files, options, *more)
        end = session.end_profiling

        def ended() -> str:
            name = end()
            os.unlink(name) if left is None else Path(name).write_bytes(left)
            return str(name)

        session.end_profiling = ended
        return session

    monkeypatch.setattr(ort.Ort, "compile", compiled)
    model = {"model.onnx": (GOLDEN / "ort-cpu" / "model.onnx").read_bytes()}
    session = backend.open(model)
    inputs = {port.name: np.zeros((1, *[size or 1 for size in port.shape[1:]]), np.float32) for port in session.inputs}
    with pytest.raises(ResourceError, match="profile"):
        backend.kernels(model, inputs)


@pytest.mark.parametrize(
    ("code", "error"), [("ENOSPC", ResourceError), ("EACCES", OutputError), ("EIO", ResourceError)]
)
@pytest.mark.parametrize("silent", [False, True], ids=["told", "nothing can be written"])
def test_a_fault_in_the_child_of_bench(
    code: str, error: type[EdgekdError], silent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: Any, **kwargs: Any) -> Any:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)), str(tmp_path / "job.json"))

    monkeypatch.setattr(bench, "read_job", failing)
    if silent:
        monkeypatch.setattr(Path, "write_text", failing)
    ended = bench.main(tmp_path)
    assert ended == error.exit_code
    with pytest.raises(error) as caught:
        check_outcome(tmp_path, ended, "job.json: it can't be", "ort")
    assert caught.value.exit_code == error.exit_code and "job.json" in str(caught.value)


def test_a_page_that_is_a_link(here: Path, monkeypatch: pytest.MonkeyPatch, digits: Path) -> None:
    (here / "victim").write_text("precious")
    for name in ("out.samples.html", "bundle.report.html"):
        (here / name).symlink_to("victim")
    with pytest.raises(OutputError, match="samples"):
        requests.check_writable(here / "out")
    monkeypatch.chdir(here)
    shutil.copytree(digits / "out", "bundle")
    assert again.write(Path("bundle"), None).read_bytes().startswith(b"<!doctype")
    assert (here / "victim").read_text() == "precious"
    assert json.loads((here / "bundle" / "manifest.json").read_text())
