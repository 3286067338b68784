"""The one door to a folder that comes from a stranger: regular files inside of it, and no more bytes than expected."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from edgekd.base import faults
from edgekd.base.errors import IntegrityError, ResourceError

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# A link is not followed, and a FIFO that nobody writes to is not waited for.
_GUARDED = _READ | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_FOLDER = _GUARDED | getattr(os, "O_DIRECTORY", 0)


T = TypeVar("T")
PIECE = 2**20  # bytes of a file that is not held whole


def open_inside(folder: Path, name: str, most: int, size: int | None = None) -> bytes:
    """Read a file of a folder.

    Args:
        name: relative, with ``/``; its parts are names (see ``runtime._checks.check_path``).
        most: bytes; more are refused before any is read.
        size: in bytes, where it is known; another one is refused before any is read.

    Raises:
        IntegrityError: missing, a link on the way, no regular file (a FIFO, a device, a folder), or of another size.
        ResourceError: the disk fails, or this process can open no more files: that says nothing of the folder.
    """
    return _inside(folder, name, most, size, _whole)


def hash_inside(folder: Path, name: str, size: int) -> str:
    """SHA-256 of a file of a folder, a piece after another; for the rest as ``open_inside``."""
    return _inside(folder, name, size, size, _hashed)


def map_inside(folder: Path, name: str, size: int) -> mmap.mmap:
    """A file of a folder as memory that is read from the disk where it is looked at; for the rest as ``open_inside``.

    Whoever may write the file can change what is looked at later.

    Raises:
        ValueError: an empty file, which can't be mapped.
    """
    return _inside(folder, name, size, size, _mapped)


def _inside(folder: Path, name: str, most: int, size: int | None, take: Callable[[IO[bytes], int, Path], T]) -> T:
    path, parts = folder / name, PurePosixPath(name).parts
    try:
        place = str(folder)
        for part in parts:
            place = os.path.join(place, part)
            if os.path.islink(place):
                raise IntegrityError("a symbolic link", where=place)
        return _read(_opened(folder, parts), path, most, size, take)
    except OSError as err:
        raise _fault(err, path) from err


def everything(folder: Path) -> Iterator[str]:
    """All in a folder, and in the folders in it, that is no folder itself: relative, with ``/``; no link is followed.

    Raises:
        IntegrityError: a folder that can't be listed, which ``os.walk`` passes over: what lies there may be imported.
        ResourceError: as ``open_inside``.
    """
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    name = inside + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    else:
                        yield name
        except OSError as err:
            raise _fault(err, folder / inside) from err


def _fault(err: OSError, path: Path) -> IntegrityError | ResourceError:
    kind = ResourceError if err.errno in faults.EXHAUSTED or err.errno == errno.EIO else IntegrityError
    return kind(f"can't be read ({err.strerror})", where=str(path))


def _opened(folder: Path, parts: tuple[str, ...]) -> int:
    """A handle on a file, folder after folder: what is exchanged for a link meanwhile is not followed."""
    if os.open not in os.supports_dir_fd:  # Windows
        return os.open(folder.joinpath(*parts), _GUARDED)
    at = os.open(folder, _READ | getattr(os, "O_DIRECTORY", 0))
    try:
        for part in parts[:-1]:
            outer, at = at, os.open(part, _FOLDER, dir_fd=at)
            os.close(outer)  # no longer ``at``: one that fails here is not closed twice
        return os.open(parts[-1], _GUARDED, dir_fd=at)
    finally:
        os.close(at)


def _read(handle: int, path: Path, most: int, size: int | None, take: Callable[[IO[bytes], int, Path], T]) -> T:
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise IntegrityError("not a regular file", where=str(path))
        if size is not None and status.st_size != size:
            raise IntegrityError("has another size", where=str(path), found=status.st_size, allowed=str(size))
        if status.st_size > most:
            raise IntegrityError("too large", where=str(path), found=status.st_size, allowed=f"at most {most:,} bytes")
        return take(file, status.st_size, path)


def _whole(file: IO[bytes], size: int, path: Path) -> bytes:
    data = file.read(size + 1)
    if len(data) != size:  # it grows while it is read
        raise IntegrityError("has another size", where=str(path), found=len(data), allowed=str(size))
    return data


def _mapped(file: IO[bytes], size: int, path: Path) -> mmap.mmap:
    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _hashed(file: IO[bytes], size: int, path: Path) -> str:
    digest = hashlib.sha256()
    for start in range(0, size, PIECE):
        digest.update(file.read(min(PIECE, size - start)))
    return digest.hexdigest()
