"""What of edgekd writes to a disk or reads from its cache, as ``_faults.Primitive``, over seeded files."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from _faults import Primitive, bytes_of, hidden, tree

from edgekd.base import disk, locks
from edgekd.base.errors import EdgekdError
from edgekd.build.store import Store, sha256

PARTS: dict[str, Any] = {"locks": locks, "disk": disk, "error": EdgekdError}
KEY = sha256(b"a step")


def _files(rng: random.Random) -> dict[str, bytes]:
    names = ("a.bin", "deep/b.json", "deep/er/c.onnx", "d")
    return {name: bytes_of(rng) for name in names[: rng.randrange(1, len(names) + 1)]}


def _flat(rng: random.Random) -> dict[str, bytes]:
    return {name.replace("/", "_"): data for name, data in _files(rng).items()}


def _nothing(root: Path) -> None:
    pass


def folder(rng: random.Random, over: bool) -> Primitive:
    """A bundle, over another one or where none is."""
    old, new = _files(rng), _files(rng)
    new["d"] = bytes_of(rng) + b"new"
    return Primitive(
        f"replace_folder{' over another' if over else ''}",
        (lambda root: disk.replace_folder(root / "out", old)) if over else _nothing,
        lambda root: disk.replace_folder(root / "out", new),
        lambda root: tree(root / "out"),
        (old if over else None, new),
        hidden,
    )


def renamed(rng: random.Random) -> Primitive:
    """The same where the system can't exchange two names: between two renames there is no folder."""
    plain = folder(rng, over=True)

    def act(root: Path) -> None:
        with mock.patch.object(disk, "_swap", lambda new, old: False):
            plain.act(root)

    return Primitive("two renames", plain.before, act, plain.state, (None, *plain.allowed), hidden)


def file(rng: random.Random, over: bool) -> Primitive:
    """A page, over another one or where none is."""
    old, new = bytes_of(rng), bytes_of(rng) + b"new"
    place = "page.html"
    return Primitive(
        f"replace_file{' over another' if over else ''}",
        (lambda root: disk.replace_file(root / place, old)) if over else _nothing,
        lambda root: disk.replace_file(root / place, new),
        lambda root: tree(root).get(place),  # type: ignore[union-attr]
        (old if over else None, new),
        hidden,
    )


def put_back(rng: random.Random) -> Primitive:
    """A page that is replaced, and a bundle that is written behind it."""
    old, new, files = bytes_of(rng), bytes_of(rng) + b"new", _files(rng)

    def act(root: Path) -> None:
        with disk.as_it_was(root / "page"):
            disk.replace_file(root / "page", new)
            disk.replace_folder(root / "out", files)

    def state(root: Path) -> Any:
        return (root / "page").read_bytes(), tree(root / "out")

    allowed = ((old, None), (new, None), (new, files), (old, files))
    return Primitive(
        "as_it_was",
        lambda root: disk.replace_file(root / "page", old),
        act,
        state,
        (*allowed[:2], allowed[3], allowed[2]),
        hidden,
    )


def put(rng: random.Random, damaged: bool) -> Primitive:
    """An artifact, where none is or where one is that is damaged."""
    files = _flat(rng)

    def before(root: Path) -> None:
        if damaged:
            Store(root).put(KEY, files)
            next(root.rglob("index.json")).write_bytes(b"{}")

    def act(root: Path) -> None:
        Store(root).put(KEY, files)

    def state(root: Path) -> Any:
        return Store(root).get(KEY, files)

    return Primitive(f"put{' over a damaged one' if damaged else ''}", before, act, state, (None, files), hidden)


def get(rng: random.Random, damaged: bool) -> Primitive:
    """An artifact that is read: what is given is right, or nothing; and made anew then."""
    files = _flat(rng)

    def before(root: Path) -> None:
        Store(root).put(KEY, files)
        if damaged:
            one = next(path for path in root.rglob("*") if path.is_file() and path.name != "index.json")
            one.write_bytes(one.read_bytes() + b"x")

    def act(root: Path) -> None:
        Store(root).clear()  # as every build begins
        found = Store(root).get(KEY, files)
        if found is None:
            found = Store(root).put(KEY, files)
        assert found == files, "wrong bytes"

    return Primitive(
        f"get{' of a damaged one' if damaged else ''}",
        before,
        act,
        lambda root: Store(root).get(KEY, files),
        (None, files),
        hidden,
    )


def scratch(rng: random.Random) -> Primitive:
    """A step that keeps two checkpoints and succeeds."""
    first, second, files = bytes_of(rng) + b"1", bytes_of(rng) + b"2", _flat(rng)

    def act(root: Path) -> None:
        store = Store(root)
        with store.scratch(KEY) as place:
            disk.replace_file(place / "checkpoint", first)
            disk.replace_file(place / "checkpoint", second)
            store.put(KEY, files)

    def state(root: Path) -> Any:
        kept = root / "scratch" / KEY / "checkpoint"
        whole = not kept.exists() or kept.read_bytes() in (first, second)
        return whole, Store(root).get(KEY, files)

    def left(root: Path) -> list[str]:
        return hidden(root) + [path.name for path in root.glob("scratch/*")]

    return Primitive("scratch", _nothing, act, state, ((True, None), (True, files)), left)


def pruned(rng: random.Random) -> Primitive:
    """A cache that is counted and pruned."""
    files = _flat(rng)

    def before(root: Path) -> None:
        Store(root).put(KEY, files)
        (root / "scratch" / KEY).mkdir(parents=True)
        (root / "scratch" / KEY / "checkpoint").write_bytes(b"1")

    def act(root: Path) -> None:
        store = Store(root)
        store.size()
        store.prune(0.0, time.time() + 10)
        store.clear()

    return Primitive("prune", before, act, lambda root: Store(root).get(KEY, files), (files, None), hidden)


def temporary(rng: random.Random) -> Primitive:
    """A folder for a moment, with a file that a runtime reads."""
    data = bytes_of(rng)

    def act(root: Path) -> None:
        with mock.patch.object(tempfile, "tempdir", str(root)), disk.temporary("test") as place:
            disk.write_synced(place / "job.json", data)
            assert (place / "job.json").read_bytes() == data, "wrong bytes"

    def left(root: Path) -> list[str]:
        return [path.name for path in root.iterdir()]

    return Primitive("temporary", _nothing, act, lambda root: None, (None,), left)


MAKERS: tuple[Callable[[random.Random], Primitive], ...] = (
    lambda rng: folder(rng, over=False),
    lambda rng: folder(rng, over=True),
    renamed,
    lambda rng: file(rng, over=False),
    lambda rng: file(rng, over=True),
    put_back,
    lambda rng: put(rng, damaged=False),
    lambda rng: put(rng, damaged=True),
    lambda rng: get(rng, damaged=False),
    lambda rng: get(rng, damaged=True),
    scratch,
    pruned,
    temporary,
)


def drawn(seed: int) -> Iterator[Primitive]:
    """All of them, over the files of a seed."""
    rng = random.Random(seed)
    for make in MAKERS:
        yield make(rng)
