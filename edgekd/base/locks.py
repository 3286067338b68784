"""Locks between processes, where the system knows any: Windows has no ``fcntl``, some network file systems no locks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from edgekd.base import places

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

PATIENCE_S = 60.0  # of waiting for a folder's lock
_POLL_S = 0.01
_FILE = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def take(handle: int, wait: bool = False) -> bool | None:
    """Lock a handle for this process alone.

    Returns:
        Whether it is ours; False, only without ``wait``: it is another's. None: no locks are known here.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def folder(path: Path, patience: float | None = None) -> Iterator[bool]:
    """Lock a folder, so that one process at a time puts something in place there; whether it is ours.

    Whoever may read a shared folder can hold its lock for ever: after ``patience`` seconds (a minute) it goes on
    without. Nothing half is seen then either: names are unique and renames whole; only two builds of different bundles,
    neither with ``--overwrite``, could both find an empty place.
    """
    handle = os.open(path, os.O_RDONLY) if os.name != "nt" else None
    try:
        until = time.monotonic() + (PATIENCE_S if patience is None else patience)
        took = None if handle is None else take(handle)
        while took is False and handle is not None and time.monotonic() < until:
            time.sleep(_POLL_S)
            took = take(handle)
        yield took is not False
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def file(path: Path) -> Iterator[None]:
    """Hold a lock file as long as it takes to get it; it is gone where all went well inside.

    Whoever waited for one that is gone meanwhile holds nothing: the name must still mean the file that was locked.
    """
    while True:
        handle = _opened(path)
        try:
            took = take(handle, wait=True)
            if took is None or places.is_same(handle, path):
                yield
                with suppress(OSError):  # Windows removes nothing that is open
                    os.unlink(path)
                return
        finally:
            os.close(handle)


def _opened(path: Path) -> int:
    """Where a folder or a link stands in the lock's place, it is removed first."""
    if places.kind(path) in ("folder", "other"):
        places.remove(path)
    return os.open(path, _FILE, 0o666)


def is_held(path: Path) -> bool:
    """Whether somebody holds a lock file."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return take(handle) is False
    finally:
        os.close(handle)
