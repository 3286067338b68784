"""SHA-256 of files, remembered between runs: a file is read again where its size, times or inode have changed.

Of each folder of data one file in the cache: an entry a file of data, and the SHA-256 of all entries at the end. What
was written less than ``RECENT`` before it was hashed is not remembered: it may be written once more in the same tick of
the file system's clock, and look the same.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import aside
from edgekd.base.disk import disk, replace_file, temporary
from edgekd.base.door import open_inside
from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.learn.data import _files

FOLDER = "hashes"  # of the cache
RECENT = 2 * 10**9  # nanoseconds
MOST = 2**31  # bytes of what is kept of a folder: 40 million files
_ENTRY = np.dtype([("key", "<u8"), ("check", "<u8"), ("sha256", "V32")])
_END = 32
_cache: ContextVar[tuple[Path, str] | None] = ContextVar("cache of hashes", default=None)


@contextmanager
def remembered_in(cache: Path, data: str = "") -> Iterator[None]:
    """Around what reads data: hashes are remembered in a folder of the cache. Else every file is read.

    Args:
        data: a fingerprint of the data and of the code that reads them; then also what one pass over them told is kept.
    """
    token = _cache.set((cache / FOLDER, data))
    try:
        yield
    finally:
        _cache.reset(token)


class Hashes:
    """SHA-256 of the files below a folder of data; see ``of_folder``."""

    def __init__(self, known: bytes) -> None:
        body, end = known[:-_END], known[-_END:]
        is_whole = len(body) % _ENTRY.itemsize == 0 and hashlib.sha256(body).digest() == end
        self._known = np.frombuffer(body if is_whole else b"", _ENTRY)
        self._seen = bytearray()

    def sha256(self, path: Path, name: str, where: str, what: str = "file_bytes") -> bytes:
        """The digest of a file's content.

        Args:
            name: below the folder.
            what: the limit that its size keeps, see ``limits.MOST``.

        Raises:
            DataError: see ``_files.content``.
        """
        _files.size_of(path, where, what)
        about = path.stat()
        facts = (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
        identity = f"{name}\0{facts}".encode(errors="surrogateescape")
        words = np.frombuffer(hashlib.blake2b(identity, digest_size=16).digest(), "<u8")
        digest = self._known_of(words)
        if digest is None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            if time.time_ns() - max(about.st_mtime_ns, about.st_ctime_ns) < RECENT:
                return digest
        self._seen += words.tobytes() + digest
        return digest

    def _known_of(self, words: NDArray[np.uint64]) -> bytes | None:
        place = int(np.searchsorted(self._known["key"], words[0]))
        if place < len(self._known) and self._known["key"][place] == words[0]:
            return bytes(self._known["sha256"][place]) if self._known["check"][place] == words[1] else None
        return None

    def entries(self) -> bytes:
        """What is to be remembered of the files that were asked for."""
        entries = np.frombuffer(bytes(self._seen), _ENTRY)
        body = entries[np.argsort(entries["key"], kind="stable")].tobytes()
        return body + hashlib.sha256(body).digest()


@contextmanager
def of_folder(root: Path) -> Iterator[Hashes]:
    """The hashes of a folder's files. What is asked for inside is what is remembered."""
    if (cache := _cache.get()) is None:
        yield Hashes(b"")
        return
    place = cache[0] / hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
    known = b""
    with suppress(OSError, IntegrityError):
        known = open_inside(cache[0], place.name, MOST)
    hashes = Hashes(known)
    yield hashes
    entries = hashes.entries()
    if entries != known:
        with suppress(EdgekdError):  # a cache that can't be written is told of where it has to be
            replace_file(place, entries)


@contextmanager
def folder_for(purpose: str) -> Iterator[Path]:
    """A folder of its own, in the cache where there is one; what killed runs leave there is cleared with it."""
    cache = _cache.get()
    if cache is None:
        with temporary(purpose) as folder:
            yield folder
        return
    with disk(cache[0]):
        cache[0].mkdir(parents=True, exist_ok=True)
        with aside.folder(cache[0] / purpose) as folder:
            yield folder


def recall(name: str) -> bytes | None:
    """What was kept of these data under a name; None: nothing, or it is damaged."""
    place = _place(name)
    with suppress(OSError, IntegrityError):
        kept = open_inside(place.parent, place.name, MOST) if place else b""
        if hashlib.sha256(kept[:-_END]).digest() == kept[-_END:]:
            return kept[:-_END]
    return None


def keep(name: str, found_out: bytes) -> None:
    """Keep what one pass over these data told."""
    if place := _place(name):
        with suppress(EdgekdError):
            replace_file(place, found_out + hashlib.sha256(found_out).digest())


def _place(name: str) -> Path | None:
    cache = _cache.get()
    if cache is None or not cache[1]:
        return None
    return cache[0] / hashlib.sha256(f"{cache[1]} {name}".encode()).hexdigest()
