"""Reading a bundle while a build puts another in its place: files of both are no damage."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edgekd.base.errors import IntegrityError, UsageError

TRIES = 5
Found = TypeVar("Found")


def folder_of(path: object) -> Path:
    """Where a bundle lies, as its user says it.

    Raises:
        UsageError: no path.
    """
    if isinstance(path, str | os.PathLike) and isinstance(os.fspath(path), str):
        return Path(path)
    raise UsageError(
        "not a path", where="bundle", found=path, allowed="the folder of a bundle, a text or a pathlib.Path"
    )


def steadily(folder: Path, read: Callable[[], Found]) -> Found:
    """What ``read`` finds in a bundle's folder, once more from the start where that is another folder by now.

    An exchange is one rename, so that each look at a name is whole; a reader looks at many. In 490 looks beside builds
    with ``--overwrite`` one was told that a whole bundle is damaged. One that stays what it is is read once.

    Raises:
        EdgekdError: what ``read`` raises, of one and the same folder.
    """
    for _ in range(TRIES - 1):
        before = _identity(folder)
        try:
            return read()
        except (IntegrityError, UsageError):  # UsageError: between the two renames of a system that has no exchange
            if _identity(folder) == before:
                raise
    return read()


def _identity(folder: Path) -> list[tuple[int, ...]]:
    """Which folder and manifest a path names: an exchange changes the number, or where that is used again, a time."""
    identity: list[tuple[int, ...]] = []
    for path in (folder, folder / "manifest.json"):
        try:
            about = os.lstat(path)
        except OSError:
            identity.append((0,))
        else:
            identity.append((about.st_dev, about.st_ino, about.st_ctime_ns, about.st_mtime_ns, about.st_size))
    return identity
