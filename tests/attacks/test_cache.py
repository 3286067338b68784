"""A cache that somebody else can write to: an entry is what was put under its key, or nothing, and is made anew."""

from __future__ import annotations

import errno
import functools
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import _races as races
import _tampers as tampers
import pytest

from edgekd.base.errors import DeviceError, OutputError, ResourceError
from edgekd.base.plain import plain
from edgekd.build import code_keys, lineage, trained
from edgekd.build.plan import CompressStep, DistilStep
from edgekd.build.store import Store, canonical, sha256
from edgekd.compress._base import TablePass
from edgekd.runtime import kept

ROOT = Path(__file__).parents[2]
KEY, OTHER = sha256(b"key"), sha256(b"other")
FILES = {"model.safetensors": b"weights", "student.json": b"{}"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A cache with two entries."""
    made = Store(tmp_path / "cache")
    made.put(KEY, FILES)
    made.put(OTHER, {name: data + b" of another" for name, data in FILES.items()})
    return made


def place(store: Store, key: str = KEY) -> Path:
    return store.root / "artifacts" / key[:2] / key


@pytest.mark.parametrize("tamper", tampers.TAMPERS, ids=lambda tamper: tamper.__name__)
def test_a_damaged_entry_is_made_anew(tamper: Callable[..., None], store: Store) -> None:
    for seed in range(24):
        other = store.get(OTHER, FILES) or store.put(
            OTHER, {name: data + b" of another" for name, data in FILES.items()}
        )
        tamper(place(store), place(store, OTHER), random.Random(seed))
        assert store.get(KEY, FILES) is None, seed
        assert store.put(KEY, FILES) == store.get(KEY, FILES) == FILES, seed
        assert store.get(OTHER, FILES) in (None, other), seed
        assert not any(store.root.rglob(".*")), seed


def test_an_entry_without_what_the_caller_needs_is_none(store: Store) -> None:
    assert store.get(KEY, ("student.json",)) == FILES
    assert store.get(KEY, ("student.json", "model.onnx")) is None
    assert not place(store).exists()


def test_an_entry_that_is_a_link_to_the_same(store: Store, tmp_path: Path) -> None:
    shutil.move(place(store), tmp_path / "elsewhere")
    place(store).symlink_to(tmp_path / "elsewhere")
    assert store.get(KEY, FILES) is None
    assert not place(store).is_symlink() and (tmp_path / "elsewhere" / "index.json").is_file()


def test_an_odd_entry_that_can_not_be_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "somewhere")

    (place(store) / "index.json").write_bytes(b"{}")
    monkeypatch.setattr(os, "rename", refused)
    assert store.get(KEY, FILES) is None
    with pytest.raises(OutputError):
        store.put(KEY, FILES)
    monkeypatch.undo()
    assert store.get(KEY, FILES) is None
    assert store.put(KEY, FILES) == store.get(KEY, FILES)


def test_an_entry_of_an_earlier_edgekd_is_made_anew(store: Store) -> None:
    (place(store) / "index.json").write_bytes(canonical({name: sha256(data) for name, data in FILES.items()}))
    assert store.get(KEY) is None
    assert store.put(KEY, FILES) == store.get(KEY, FILES)


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOMEM"])
def test_a_process_at_its_end_says_nothing_of_an_entry(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, code = os.open, getattr(errno, name)

    def refused(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == "student.json":
            raise OSError(code, os.strerror(code), path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refused)
    os.supports_dir_fd.add(refused)
    with pytest.raises(ResourceError):
        store.get(KEY)
    os.supports_dir_fd.discard(refused)
    monkeypatch.undo()
    assert store.get(KEY) == FILES


@pytest.mark.parametrize("odd", ["folder", "fifo", "link"])
def test_something_odd_in_place_of_a_step_that_trains(odd: str, store: Store, tmp_path: Path) -> None:
    for path in (store.root / "scratch" / KEY, store.root / "scratch" / f"{KEY}.lock"):
        path.parent.mkdir(exist_ok=True)
        victim = tmp_path / "victim"
        victim.mkdir(exist_ok=True)
        plant: dict[str, Callable[[Path], None]] = {
            "folder": os.mkdir,
            "fifo": os.mkfifo,
            "link": functools.partial(os.symlink, victim),
        }
        plant[odd](path)
        with store.scratch(KEY) as folder:
            (folder / "checkpoint").write_bytes(b"1")
        assert not os.listdir(victim)
        assert not os.listdir(store.root / "scratch")


def test_prune_and_size_of_what_is_no_cache(store: Store, tmp_path: Path) -> None:
    for tamper in tampers.TAMPERS:
        for seed in range(6):
            tamper(place(store), place(store, OTHER), random.Random(seed))
            store.size()
            store.clear()
            store.prune(0.0, time.time() + 10)
            assert store.size()[0] == 0
            store.put(KEY, FILES)
            store.put(OTHER, FILES)
    (tmp_path / "file").write_text("")
    assert Store(tmp_path / "file").size() == (0, 0)
    assert Store(tmp_path / "file").prune() == Store(tmp_path / "nothing").prune() == 0
    with pytest.raises(OutputError):
        Store(tmp_path / "file").put(KEY, FILES)


def test_a_folder_of_the_users_own_that_is_named_as_the_cache(tmp_path: Path) -> None:
    names = [
        "artifacts/mine/data.bin",
        "artifacts/ab/.hidden",
        "scratch/notes.txt",
        "scratch/old/a",
        "data.csv",
        "seen/x",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("precious")
    Store(tmp_path).put(KEY, FILES)
    Store(tmp_path).prune(0.0, time.time() + 1e9)
    assert all((tmp_path / name).read_text() == "precious" for name in names)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "artifacts").write_text("precious")
    with pytest.raises(OutputError):
        Store(tmp_path / "own").put(KEY, FILES)
    assert (tmp_path / "own" / "artifacts").read_text() == "precious"


PASSES = ({"kind": "channel_prune", "ratio": 0.5}, {"kind": "mine:Pass", "rounds": [1, 2]})


def told(*tables: Any, root: str = "student", **more: Any) -> bytes:
    records = [{"kind": "x", "table": table} for table in tables]
    return json.dumps({"lineage": [{"kind": root}, *records], "history": [], "seconds": 1.0, **more}).encode()


@pytest.fixture
def passes() -> lineage.Passes:
    """Those of a recipe whose student is made of the teacher by the first, and compressed by the second."""
    first, second = (TablePass(table, cast(Any, table["kind"])) for table in PASSES)
    student: Any = DistilStep(name="a", key="", targets=(), parent="", passes=(first,), channel_multiple=1, terms=())
    return lineage.passes(laid_out(student, compressed(second)))


def compressed(applied: TablePass) -> CompressStep:
    untrained: dict[str, Any] = {"numerics": None, "channel_multiple": 1, "terms": ()}
    return CompressStep(name="b", key="", targets=(), parent="a", applied=applied, **untrained)


def laid_out(*steps: Any) -> Any:
    return SimpleNamespace(steps={step.name: step for step in steps})


def test_a_lineage_that_the_recipe_names(passes: lineage.Passes) -> None:
    for about in (told(), told(PASSES[0]), told(*PASSES, root="teacher")):
        assert lineage.fault(about, passes) is None


def test_a_pass_with_what_json_has_not_is_found_again() -> None:
    """Such a student could not be kept: the build ended as a bug."""
    table = {"kind": "mine:Pass", "cap": float("inf"), "since": date(2020, 1, 1)}
    change: Any = object()
    passes = lineage.passes(laid_out(compressed(TablePass(table, change))))
    about = told(plain(table))
    assert lineage.fault(about, passes) is None
    spelled = canonical(json.loads(about)["lineage"][1]["table"])
    assert passes[spelled] is change, "replayed as the recipe has it"


@pytest.mark.parametrize(
    "about",
    [
        told({"kind": "evil_cache:X"}),
        told(PASSES[0], {"kind": "evil_cache:X", "rounds": [1, 2]}),
        told({**PASSES[1], "factory": "evil_cache:X"}),
        told({"kind": "int8_ptq"}),
        told({"kind": ["evil_cache:X"]}),
        told(root="evil_cache:X"),
        told(history=5),
        told(history=["x"]),
        told(seconds="x"),
        told(seconds=float("inf")),  # a report holds none
        told({}),  # a pass of no kind
        told(lineage=[{"kind": "student"}, {"table": PASSES[0]}]),
        told(lineage=[]),
        told(lineage=5),
        told(lineage=[{"kind": "student"}, 5]),
        b"5",
        b"[]",
        b"{}",
        b"",
        b"[" * 100_000,
        b"\xff",
        b'{"lineage": [{"kind": "student"}], "history": [], "seconds": NaN}x',
    ],
)
def test_a_lineage_of_something_else_is_dropped(about: bytes, passes: lineage.Passes, store: Store) -> None:
    store.drop(KEY)
    store.put(KEY, {**FILES, "student.json": about})
    assert lineage.fault(about, passes)
    assert lineage.kept(store, KEY, passes) is None
    assert not place(store).exists()
    assert "evil_cache" not in sys.modules


@pytest.mark.parametrize("error", [KeyError("kept"), IndexError(), TypeError(), RuntimeError("shape"), ValueError()])
def test_a_record_that_its_pass_did_not_write_is_made_anew(
    error: Exception, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is the recipe's, and what else it holds is not the pass's: the next build is not the first to end."""
    asked: list[Any] = []
    workspace: Any = SimpleNamespace(store=store, plan=laid_out(), progress=asked.append)
    made: Any = SimpleNamespace(history=[], student=None)

    def unpack(_: Any, files: dict[str, bytes], __: Any) -> dict[str, bytes]:
        if files == FILES:
            raise error
        return files

    monkeypatch.setattr(lineage, "fault", lambda *_: None)
    for name, stand_in in (("unpack", unpack), ("replace", lambda made, **_: made), ("probe_of", lambda *_: None),
                           ("pack", lambda *_: {**FILES, "student.json": b"new"})):  # fmt: skip
        monkeypatch.setattr(trained, name, stand_in)
    step: Any = SimpleNamespace(key=KEY, name="student")
    for _ in range(2):
        assert trained.stored(workspace, step, lambda _: made)["student.json"] == b"new"  # type: ignore[index]
    assert len(asked) == 2


def test_a_record_of_what_code_opened_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    for wrong in (
        b"5",
        b"[]",
        b"{}",
        b"",
        b"[" * 100_000,
        b'{"modules": 5, "files": {}}',
        b'{"modules": [], "files": []}',
    ):
        path.write_bytes(wrong)
        assert code_keys._kept(path) is None
    path.unlink()
    os.mkfifo(path)
    assert code_keys._kept(path) is None
    path.unlink()
    path.write_bytes(b'{"modules": ["a"], "files": {"b": true}}')
    assert code_keys._kept(path) == {"modules": ["a"], "files": {"b": True}}


def test_kept_results_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKD_CACHE", str(tmp_path))
    for i in range(2):
        with pytest.raises(DeviceError), kept.results("ssh://x", {}, {}) as found:
            assert found == ({} if i == 0 else {"a": {"skipped": "0"}})
            found["a"] = {"skipped": str(i)}
            raise DeviceError("lost")


def test_readers_and_writers_at_once(tmp_path: Path) -> None:
    found = races.race(ROOT / "tests" / "golden" / "bundle_1", tmp_path, 4, 0.5)
    assert found["looks"] and found["writes"]
    assert not any(found[name] for name in ("alarms", "wrong", "errors", "left")), found
    shutil.rmtree(tmp_path / "out")
