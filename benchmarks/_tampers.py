"""Damage to an entry of a cache: bytes, lengths, names, files and entries exchanged, the index edited.

Each of ``TAMPERS`` changes the entry of one key, as a seed draws; the entry of another key may take its place.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

INDEX = "index.json"
Tamper = Callable[[Path, Path, random.Random], None]  # the entry, another entry, what draws


def _one(entry: Path, rng: random.Random) -> Path:
    return entry / rng.choice(sorted(os.listdir(entry)))


def a_byte(entry: Path, other: Path, rng: random.Random) -> None:
    """Another byte in one of its files, the index among them; a new one where a file is empty."""
    path = _one(entry, rng)
    data = bytearray(path.read_bytes() or b"\0\0")
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(entry: Path, other: Path, rng: random.Random) -> None:
    """Shorter."""
    path = _one(entry, rng)
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))] if data else b"x")


def longer(entry: Path, other: Path, rng: random.Random) -> None:
    """Something behind the end."""
    path = _one(entry, rng)
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randrange(1, 40)))


def removed(entry: Path, other: Path, rng: random.Random) -> None:
    """A file less."""
    _one(entry, rng).unlink()


def extra(entry: Path, other: Path, rng: random.Random) -> None:
    """A file more, also one that hides."""
    (entry / rng.choice(("more.bin", ".hidden", "index.json.bak"))).write_bytes(rng.randbytes(3))


def swapped(entry: Path, other: Path, rng: random.Random) -> None:
    """Two of its files exchanged, or one with that of another entry."""
    first = _one(entry, rng)
    second = _one(rng.choice((entry, other)), rng)
    data = first.read_bytes(), second.read_bytes()
    if first != second and data[0] != data[1]:
        first.write_bytes(data[1])
        second.write_bytes(data[0])
    else:
        first.write_bytes(data[0] + b"x")


def another_entry(entry: Path, other: Path, rng: random.Random) -> None:
    """The whole entry of another key in its place: every hash is right."""
    shutil.rmtree(entry)
    shutil.copytree(other, entry)


def another_index(entry: Path, other: Path, rng: random.Random) -> None:
    """The index of another entry."""
    shutil.copy(other / INDEX, entry / INDEX)


def no_index(entry: Path, other: Path, rng: random.Random) -> None:
    """JSON that is no table of files, or no JSON."""
    deep = b"[" * 100_000
    wrong = (b"5", b"[]", b"{}", b"null", b'"x"', b"", b"\xff\xfe", b"NaN", b"{", deep, b'{"a":' * 50_000, b"9" * 5_000)
    more = (b'{"files": {}}', b'{"files": 5, "key": "x"}', b'{"files": {"index.json": ["x", 1]}, "key": "x"}')
    (entry / INDEX).write_bytes(rng.choice(wrong + more))


def edited_index(entry: Path, other: Path, rng: random.Random) -> None:
    """A name dropped, added, renamed or led outside; a hash, a size or the key changed; its spelling."""
    table = json.loads((entry / INDEX).read_bytes())
    files: dict[str, Any] = table["files"]
    name = rng.choice(sorted(files))
    told = files.pop(name)
    edits: tuple[Callable[[], Any], ...] = (
        lambda: (entry / name).unlink(),  # consistently: the file is gone, too
        lambda: None,
        lambda: files.update({name: told, "more.bin": told}),
        lambda: files.update({f"../{other.name}/{name}": told}),
        lambda: files.update({str(entry / name): told}),
        lambda: files.update({name: [told[0], told[1] + rng.choice((-1, 1))]}),
        lambda: files.update({name: [told[0], 10**15]}),
        lambda: files.update({name: [told[0][::-1], told[1]]}),
        lambda: files.update({name: rng.choice((5, None, [], "x", {}, [5, 5], told[0]))}),
        lambda: (files.update({name: told}), table.update(key=other.name)),
        lambda: (files.update({name: told}), table.pop("key")),
        lambda: (files.update({name: told}), table.update(more=1)),
    )
    rng.choice(edits)()
    (entry / INDEX).write_text(json.dumps(table, sort_keys=True, separators=(",", ":")))


def other_spelling(entry: Path, other: Path, rng: random.Random) -> None:
    """The same index, written otherwise: also twice the same name, which another reader could take otherwise."""
    data = (entry / INDEX).read_bytes()
    (entry / INDEX).write_bytes(rng.choice((b" " + data, data + b"\n", data.replace(b'"key"', b'"key":"x","key"', 1))))


def wrong_kind(entry: Path, other: Path, rng: random.Random) -> None:
    """A folder, a full one, a link, one to nowhere, a FIFO, in the place of a file."""
    path = _one(entry, rng)
    data = path.read_bytes()
    path.unlink()
    kind = rng.randrange(5)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "file").write_bytes(data)
    elif kind == 2:
        place = entry.parent.parent.parent / "elsewhere"
        place.write_bytes(data)
        path.symlink_to(place)
    elif kind == 3:
        path.symlink_to("nowhere")
    else:
        os.mkfifo(path)


def wrong_place(entry: Path, other: Path, rng: random.Random) -> None:
    """A file, a link, a FIFO, an empty folder where the entry was; a file or a link where its parent was."""
    kind = rng.randrange(7)
    shutil.rmtree(entry if kind < 5 else entry.parent)
    if kind == 0:
        entry.write_bytes(b"x")
    elif kind == 1:
        entry.symlink_to(other)
    elif kind == 2:
        entry.symlink_to("nowhere")
    elif kind == 3:
        os.mkfifo(entry)
    elif kind == 4:
        entry.mkdir()
    elif kind == 5:
        entry.parent.write_bytes(b"x")
    else:
        entry.parent.symlink_to("nowhere")


def closed(entry: Path, other: Path, rng: random.Random) -> None:
    """A file or the folder that may not be read. Root reads it all the same: then it is cut, too."""
    path = rng.choice((entry, _one(entry, rng)))
    if os.geteuid() == 0:
        (entry / INDEX).write_bytes(b"{")
    path.chmod(0)


TAMPERS: tuple[Tamper, ...] = (
    a_byte,
    cut,
    longer,
    removed,
    extra,
    swapped,
    another_entry,
    another_index,
    no_index,
    edited_index,
    other_spelling,
    wrong_kind,
    wrong_place,
    closed,
)
