"""What is written beside its place until it is whole: names that nobody can know, cleared when their writer dies.

A name is ``.NAME.edgekd-<16 hex digits>``, and what stands under it was made by this process or the name is not used:
no link is followed and nothing of somebody else's written into. The writer holds a lock on it. So whoever finds such a
name without a lock knows that its writer is gone; where no locks are known, a day without a change says so.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from edgekd.base import locks, places
from edgekd.base.errors import EdgekdError

WAS = ".was"  # of what an exchange by renames put aside
NAMES = re.compile(r"\.(?P<name>.+)\.edgekd-[0-9a-f]{16}(?P<was>\.was)?", re.DOTALL)
AGE_S = 86_400.0  # a folder's time changes with every name in it; no build writes one file for a day
TRIES = 16

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
NEW |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
LOOK = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
LOOK |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
Handle = TypeVar("Handle", bound="int | None")
Make = Callable[[Path], Handle]


def name_of(path: Path) -> Path:
    """A name beside a path that nobody could guess."""
    return path.parent / f".{path.name}.edgekd-{_digits(8)}"


def _digits(count: int) -> str:
    """Twice as many, of which nobody knows the next: ``secrets`` would load hashlib into every child for it."""
    return os.urandom(count).hex()


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path``, to be renamed; gone at the end, with what an exchange put there."""
    with _made(lambda: name_of(path), _new_folder, path) as (new, _):
        yield new


@contextmanager
def file(path: Path) -> Iterator[tuple[Path, int]]:
    """A new file beside ``path`` and a handle to write it with, to be renamed; gone at the end."""
    with _made(lambda: name_of(path), _new_file, path) as (new, handle):
        yield new, handle


@contextmanager
def private(start: Path) -> Iterator[Path]:
    """A new folder ``<start><32 hex digits>`` that this user alone may look into; gone at the end."""
    name = lambda: start.with_name(start.name + _digits(16))  # noqa: E731
    with _made(name, _new_private) as (new, _):
        yield new


@contextmanager
def _made(name: Callable[[], Path], make: Make[Handle], path: Path | None = None) -> Iterator[tuple[Path, Handle]]:
    """Something new under a lock of ours; errors tell of ``path``, which the user knows, and not of the name."""
    try:
        new, handle = _locked(name, make)
        try:
            yield new, handle
        finally:
            places.remove(new)
            if handle is not None:
                os.close(handle)
    except OSError as err:
        if isinstance(err.filename, str | os.PathLike):
            err.filename = _known(str(err.filename), path)
        raise
    except EdgekdError as err:
        err.where = err.where and _known(err.where, path)
        raise


def _known(place: str, path: Path | None) -> str:
    """A place inside of what is made beside ``path``, as what the user knows."""
    start = str(path and path.parent / f".{path.name}.edgekd-")
    return str(path) + place[len(start) + 16 :] if place.startswith(start) else place


def _locked(name: Callable[[], Path], make: Make[Handle]) -> tuple[Path, Handle]:
    """Another name where one is taken, or was cleared between its making and its lock."""
    for left in reversed(range(TRIES)):
        new = name()
        try:
            handle = make(new)
        except FileExistsError:
            if not left:
                raise
            continue
        if handle is None or (locks.take(handle) is not False and places.is_same(handle, new)):
            return new, handle
        os.close(handle)
    raise FileExistsError(errno.EEXIST, "others lock what is made there", str(new))


def _new_file(new: Path) -> int:
    return os.open(new, NEW, 0o666)


def _new_folder(new: Path, mode: int = 0o777) -> int | None:
    os.mkdir(new, mode)
    if os.name == "nt":  # folders can't be opened there
        return None
    try:
        return os.open(new, LOOK)
    except FileNotFoundError as err:  # cleared before it was locked: another name, please
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from err
    except OSError:
        places.remove(new)
        raise


def _new_private(new: Path) -> int | None:
    return _new_folder(new, 0o700)


def clear(parent: Path, names: re.Pattern[str] = NAMES, of: str | None = None) -> int:
    """Remove what killed runs left in a folder, and only that: ours by name and by owner, no links, no lock held.

    Args:
        names: what they are called.
        of: only what was to become this name.

    Returns:
        Bytes freed. A folder that can't be looked into has none to free.
    """
    try:
        matches = [match for name in os.listdir(parent) if (match := names.fullmatch(name))]
    except OSError:
        return 0
    return sum(_clear(parent, match) for match in matches if of is None or match["name"] == of)


def _clear(parent: Path, match: re.Match[str]) -> int:
    path, about = parent / match.group(), match.groupdict()
    try:
        with _dead(path) as is_dead:
            if not is_dead:
                return 0
            if about.get("was") and not os.path.lexists(parent / about["name"]):  # killed in an exchange by two renames
                os.rename(path, parent / about["name"])
                return 0
            freed = places.weight(path)
            places.remove(path)
            return freed
    except OSError:
        return 0


@contextmanager
def _dead(path: Path) -> Iterator[bool]:
    """Whether a name is ours and its writer gone. The lock is held meanwhile: a name that is just made is not taken."""
    about = os.lstat(path)
    if about.st_uid != getattr(os, "geteuid", lambda: about.st_uid)() or places.kind(path) not in ("folder", "file"):
        yield False
        return
    old = time.time() - about.st_mtime > AGE_S
    try:
        handle = os.open(path, LOOK)
    except OSError:  # Windows opens no folders
        yield old
        return
    try:
        took = locks.take(handle)
        yield old if took is None else took
    finally:
        os.close(handle)
