"""The cache: artifacts by key. Only successes are kept; written aside, fsynced, renamed; verified when read.

Layout of the root::

    artifacts/<k0k1>/<key>/      the files of one artifact, and index.json: the key, SHA-256 and size of each
    scratch/<key>/               epoch checkpoints of a step that is not done yet
    hashes/<sha256>              hashes of the files of a folder of data, and what one pass over them told
    seen/<sha256>.json           the modules that a user's own code imported
    reports/<identity>/          the report of a build of which nothing met its budget
    version.txt                  which edgekd used it last
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgekd import __version__
from edgekd.base import aside, faults, locks, places
from edgekd.base.disk import disk, replace_file, sync_folder, write_synced
from edgekd.base.door import map_inside, open_inside
from edgekd.base.errors import IntegrityError, ResourceError

INDEX, LOCK, VERSION = "index.json", ".lock", "version.txt"
MAX_INDEX, MAX_VERSION = 1_000_000, 100
TRIES = 4
Content = TypeVar("Content", bytes, mmap.mmap)  # of a file, in memory or on the disk
_KEY = re.compile(r"[0-9a-f]{64}")
BESIDE = ("hashes", "seen", "reports")  # folders of what is no artifact, and goes when it is old
_BESIDE = re.compile(r"[0-9a-f]{16,64}(\.\w+)?")
_OLDER = re.compile(r"\.[0-9a-f]{32}")  # of edgekd 0.1.0, which held no lock while it wrote


def sha256(data: bytes | mmap.mmap) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """JSON with one spelling for each value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


class _Odd(Exception):
    """An entry that is not as ``put`` writes it."""


@dataclass(frozen=True)
class Store:
    """A content-addressed folder, safe to share between processes. What the disk refuses is told as in ``disk``."""

    root: Path

    def _place(self, key: str) -> Path:
        return self.root / "artifacts" / key[:2] / key

    def has(self, key: str) -> bool:
        """Whether an artifact stands there; ``get`` also verifies it."""
        with suppress(OSError):
            return places.kind(self._place(key) / INDEX) == "file"
        return False

    def outdated(self) -> str | None:
        """Told once: that another version of edgekd filled the cache, whose steps had other keys; else None."""
        try:
            last = open_inside(self.root, VERSION, MAX_VERSION)
        except (IntegrityError, OSError):
            last = b""  # 0.1.0 wrote none
        if last == __version__.encode():
            return None
        filled = any(places.kind(place / INDEX) == "file" for place in self._entries())
        replace_file(self.root / VERSION, __version__.encode())
        if not filled:
            return None
        return (
            f"the cache in {self.root} is of another version of edgekd: every step runs anew; "
            "edgekd cache --prune 0 frees it"
        )

    def get(self, key: str, names: Iterable[str] = ()) -> dict[str, bytes] | None:
        """The files of an artifact, or None. Whatever is not as it was put is removed, and so made again: damaged, of
        another key, with a file more or less, unreadable, or no folder of files at all.

        Args:
            names: files that the caller needs; an artifact without them is none.

        Raises:
            ResourceError: this process can open no more files, or has no memory: that says nothing of the artifact.
        """
        return self._found(key, names, lambda place, name, size: open_inside(place, name, size, size))

    def mapped(self, key: str, names: Iterable[str] = ()) -> dict[str, mmap.mmap] | None:
        """The files of an artifact as memory that is read from the disk where it is looked at; verified as by ``get``.

        What is mapped stays readable when the artifact is pruned. No file may be empty. Args, raises: see ``get``.
        """
        return self._found(key, names, map_inside)

    def _found(
        self, key: str, names: Iterable[str], read: Callable[[Path, str, int], Content]
    ) -> dict[str, Content] | None:
        """See ``get``; ``read``: gives a file of a folder, of the size that it must have."""
        place, names = self._place(key), set(names)
        with disk(self.root):
            for _ in range(TRIES):
                try:
                    seen = os.lstat(place)
                except OSError as err:
                    if err.errno in faults.EXHAUSTED:
                        raise
                    return None
                try:
                    files = _read(place, key, read)
                    if not names <= set(files):
                        raise _Odd
                    return files
                except _Odd:
                    with suppress(OSError):  # what can't be removed is told of where its like is put there
                        if not self._drop(place, seen):
                            continue  # another process put another one there meanwhile
                    return None
        return None

    def drop(self, key: str) -> None:
        """Remove an artifact that is not what its caller can use."""
        with disk(self.root):
            self._drop(self._place(key))

    def _drop(self, place: Path, seen: os.stat_result | None = None) -> bool:
        """Remove what stands in a place: out of it in one step, so that nobody reads half of it.

        Returns:
            False: it is not what was ``seen``, and stays.
        """
        gone = aside.name_of(place)
        try:
            if seen is not None and not os.path.samestat(seen, os.lstat(place)):
                return False
            os.rename(place, gone)
        except (FileNotFoundError, NotADirectoryError):  # another process was faster
            return True
        places.remove(gone)
        return True

    def put(self, key: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep an artifact and return it. If another process was faster, its equal result stays."""
        place = self._place(key)
        index = _index(key, {name: (sha256(data), len(data)) for name, data in files.items()})
        with disk(place):
            place.parent.parent.mkdir(parents=True, exist_ok=True)
            places.make_folder(place.parent)
            aside.clear(place.parent)
            with aside.folder(place) as new:
                for name, data in files.items():
                    write_synced(new / name, data)
                write_synced(new / INDEX, index)
                sync_folder(new)
                self._rename_unless_there(key, new, files)
                sync_folder(place.parent)
        return dict(files)

    def _rename_unless_there(self, key: str, new: Path, names: Iterable[str]) -> None:
        """Put a new entry in place, unless a whole one of its key stands there."""
        for left in reversed(range(TRIES)):
            if self.get(key, names) is not None:
                return
            try:
                return os.rename(new, self._place(key))
            except OSError as err:  # another process was faster, or something odd could not be removed
                if err.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) or not left:
                    raise

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """A folder for epoch checkpoints, kept when the step fails or is killed, removed when it succeeds.

        Locked: of two builds that train the same step at once the second waits, then finds the first one's result.
        """
        folder = self.root / "scratch" / key
        with disk(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with locks.file(_lock_of(folder)):
                if folder.is_symlink():
                    places.remove(folder)
                places.make_folder(folder)
                yield folder
                places.remove(folder)

    def size(self) -> tuple[int, int]:
        """(artifacts, bytes of everything under the root)."""
        with disk(self.root):
            count = sum(places.kind(place / INDEX) == "file" for place in self._entries())
            return count, places.weight(self.root)

    def clear(self) -> int:
        """Remove what killed runs left; what a running build is writing stays: it holds a lock. Bytes freed."""
        with disk(self.root):
            shards = [*_inside(self.root / "artifacts"), *_inside(self.root / "scratch")]
            old = [one for one in self._every() if _OLDER.fullmatch(one.name) and _age(one, time.time()) >= aside.AGE_S]
            # Of steps that were killed, or told of a fault, between the result's place and the end of their scratch.
            old += [one for one in _inside(self.root / "scratch") if self.has(one.name) and self._is_free(one)]
            freed = sum(places.weight(one) for one in old)
            for one in old:
                places.remove(one)
            return freed + sum(map(aside.clear, (*shards, *(self.root / name for name in BESIDE))))

    def prune(self, older_than_days: float = 0.0, now: float = 0.0) -> int:
        """Remove what was last written more than ``older_than_days`` before ``now``, but for answers that were asked
        and studies; bytes freed.

        What a running build is writing stays: the scratch of a step that trains, and files that are not in place yet.
        """
        freed, old = self.clear(), older_than_days * 86_400
        with disk(self.root):
            for place in self._entries():
                if _age(place / INDEX, now) >= old:
                    freed += places.weight(place)
                    self._drop(place)
            for entry in (one for name in BESIDE for one in _inside(self.root / name)):
                if (_BESIDE.fullmatch(entry.name) or entry.parent.name == BESIDE[0]) and _age(entry, now) >= old:
                    freed += places.weight(entry)
                    places.remove(entry)
            for folder in _inside(self.root / "scratch"):
                if _age(folder, now) >= old and self._is_free(folder):
                    freed += places.weight(folder)
                    places.remove(folder)
        return freed

    def _is_free(self, folder: Path) -> bool:
        """Whether a folder is a step's scratch, and nobody trains there."""
        return _KEY.fullmatch(folder.name) is not None and not locks.is_held(_lock_of(folder))

    def _every(self) -> list[Path]:
        return [one for shard in _inside(self.root / "artifacts") for one in _inside(shard)]

    def _entries(self) -> list[Path]:
        """What stands where an artifact would: whoever names a folder of their own as the cache loses nothing else."""
        return [one for one in self._every() if _KEY.fullmatch(one.name) and one.name[:2] == one.parent.name]


def _index(key: str, hashes: Mapping[str, tuple[str, int]]) -> bytes:
    return canonical({"key": key, "files": {name: list(entry) for name, entry in hashes.items()}})


def _read(place: Path, key: str, read: Callable[[Path, str, int], Content]) -> dict[str, Content]:
    """The files of an entry as ``read`` gives them, each held against the index, and the index against key and folder.

    Raises:
        _Odd: something is not as ``put`` writes it. ResourceError, OSError: see ``get``.
    """
    hashes: dict[str, tuple[str, int]]
    try:
        if places.kind(place) != "folder":
            raise _Odd
        data = open_inside(place, INDEX, MAX_INDEX)
        hashes = {str(name): (str(digest), int(size)) for name, (digest, size) in json.loads(data)["files"].items()}
        if _index(key, hashes) != data or {INDEX, *hashes} != set(os.listdir(place)):
            raise _Odd
        files = {name: read(place, name, size) for name, (_, size) in hashes.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as err:
        raise _Odd from err
    except (IntegrityError, ResourceError, OSError) as err:
        cause = err if isinstance(err, OSError) else err.__cause__
        if isinstance(cause, OSError) and cause.errno in faults.EXHAUSTED:
            raise
        raise _Odd from err
    if any(sha256(data) != hashes[name][0] for name, data in files.items()):
        raise _Odd
    return files


def _inside(folder: Path) -> list[Path]:
    """What stands in a folder; nothing where there is none."""
    try:
        return sorted(folder / name for name in os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _age(path: Path, now: float) -> float:
    """Seconds since something was last written; of what is gone, or never was whole, for ever."""
    try:
        return now - os.lstat(path).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return math.inf


def _lock_of(scratch: Path) -> Path:
    return scratch.with_name(scratch.name + LOCK)
