"""Writing so that nothing is ever half there: fsync, rename, and a full disk told apart from a bug."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekd.errors import OutputError, ResourceError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG)


@contextmanager
def disk(where: Path) -> Iterator[None]:
    """Turn what a disk refuses into an error that says so."""
    try:
        yield
    except OSError as err:
        if err.errno in _FULL:
            raise ResourceError("the disk is full", where=str(where), hint="free some space and run it again") from err
        if err.errno in _REFUSED:
            raise OutputError(f"can't be written ({err.strerror})", where=str(err.filename or where)) from err
        raise


def write_synced(path: Path, data: bytes) -> None:
    """Write one new file, its folder too where missing, and make it durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exchange(new: Path, old: Path) -> None:
    """Swap two folders; on Linux in one step, so that ``old`` always names a whole one."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "renameat2"):
            done = libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE)
            if done == 0:
                return
    gone = old.parent / f".{old.name}.{uuid.uuid4().hex}"
    os.rename(old, gone)
    os.rename(new, old)
    os.rename(gone, new)
