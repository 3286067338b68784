"""What stands at a path, looked at without following links, and removed whatever it is."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path


def kind(path: Path) -> str:
    """``folder``, ``file`` (a regular one), ``nothing``, or ``other``: a link, a FIFO, a device.

    Raises:
        OSError: it can't be told.
    """
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def is_same(handle: int, path: Path) -> bool:
    """Whether a path still means what was opened there."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove what stands there: a link as a link, a folder with what is in it. What can't be removed stays."""
    with suppress(OSError, RecursionError):  # RecursionError: a thousand folders, one inside the other
        if kind(path) != "folder":
            return os.unlink(path)
        shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):  # folders that are closed even to their owner
            for root, _, _ in os.walk(path, onerror=_open_up):
                os.chmod(root, 0o700)
            shutil.rmtree(path, ignore_errors=True)
    return None


def _open_up(err: OSError) -> None:
    with suppress(OSError):
        os.chmod(err.filename, 0o700)


def make_folder(path: Path) -> None:
    """A folder, with those above it; a file or a dangling link in its place goes. A link to a folder is one."""
    if os.path.lexists(path) and not os.path.isdir(path):
        remove(path)
    path.mkdir(parents=True, exist_ok=True)


def weight(path: Path) -> int:
    """Bytes of a file, or of everything in a folder; what goes meanwhile, or may not be looked into, weighs nothing.

    Raises:
        OSError: the disk fails.
    """
    if kind(path) != "folder":
        return _bytes(path)
    walked = os.walk(path, onerror=_unless_closed)
    return sum(_bytes(Path(root, name)) for root, _, names in walked for name in names)


def _bytes(path: Path) -> int:
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        return 0
    return about.st_size if stat.S_ISREG(about.st_mode) else 0


def _unless_closed(err: OSError) -> None:
    if not isinstance(err, FileNotFoundError | PermissionError):
        raise err
