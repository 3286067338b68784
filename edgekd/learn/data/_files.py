"""Files of data as they lie there: regular ones, of a size that is looked at before anything is read or unpacked."""

from __future__ import annotations

import gzip
import stat
import zlib
from pathlib import Path

from edgekd.base import limits
from edgekd.base.errors import DataError

_CHUNK = 1 << 20


def size_of(path: Path, where: str, what: str = "file_bytes") -> int:
    """The size of a regular file.

    Args:
        what: the limit that it keeps, see ``limits.MOST``.

    Raises:
        DataError: a FIFO or a device, which may be waited for without end; or more than the limit.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise DataError("not a regular file", where=where, found=path.name)
    limits.check(what, about.st_size, "a file larger than likely is meant", where)
    return about.st_size


def content(path: Path, where: str, stamp: int | None = None) -> bytes:
    """The bytes of one picture or sound.

    Args:
        stamp: what ``stamp_of`` said of the file before.

    Raises:
        DataError: as ``size_of``; it is gone, or another one since.
    """
    try:
        size_of(path, where)
        data = path.read_bytes()
        changed = stamp is not None and stamp_of(path) != stamp
    except OSError as err:
        if stamp is None:
            raise
        raise DataError(f"can't be read any more ({err.strerror})", where=where) from err
    if changed:
        hint = "leave the data as they are until the build has ended, and run it again"
        raise DataError("the file has changed since the build began", where=where, hint=hint)
    return data


def stamp_of(path: Path) -> int:
    """A number that is another one when a file was written or replaced: of its size, its time and its place."""
    about = path.stat()
    return hash((about.st_size, about.st_mtime_ns, about.st_ino, about.st_dev))


def unpacked(path: Path, where: str) -> bytes:
    """The bytes of a file, or of what is inside of a ``.gz``: counted in a first pass, which keeps nothing.

    Raises:
        DataError: damaged, or more than ``limits.most_unpacked``.
    """
    size = size_of(path, where, "bytes")
    if path.suffix != ".gz":
        return path.read_bytes()
    most, count = limits.most_unpacked(size), 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK):
                count += len(chunk)
                limits.check("bytes", count, "unpacks to more than likely is meant", where, most)
        with gzip.open(path) as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"can't be read ({err})", where=where) from err
