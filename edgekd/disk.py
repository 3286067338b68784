"""Writing so that nothing is ever half there: fsync, rename, and a full disk told apart from a bug."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from edgekd.errors import EdgekdError, OutputError, ResourceError, UsageError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
)


def cache_root() -> Path:
    """The cache: ``$EDGEKD_CACHE``, else ``$XDG_CACHE_HOME/edgekd``, else ``~/.cache/edgekd``."""
    if chosen := os.environ.get("EDGEKD_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home("the cache", "give --cache, or set EDGEKD_CACHE") / ".cache") / "edgekd"


def home(where: str, hint: str | None = None) -> Path:
    """The user's home folder.

    Raises:
        UsageError: neither ``$HOME`` nor an entry in the list of users names one, as in a container of a foreign user.
    """
    try:
        return Path.home()
    except RuntimeError as err:
        raise UsageError("this user has no home folder", where=where, hint=hint or "set HOME") from err


@contextmanager
def temporary(purpose: str) -> Iterator[Path]:
    """A folder of its own for a moment, in ``$TMPDIR``.

    A runtime that writes there itself says of a full disk what it likes (OpenVINO: ``iostream error``); so whatever
    went wrong inside, it was the disk's fault if the disk takes no more.

    Raises:
        ResourceError: the disk is full, or there is no folder for temporary files.
    """
    try:
        name = tempfile.mkdtemp(prefix=f"edgekd-{purpose}-")
    except OSError as err:
        raise ResourceError(
            f"no folder for temporary files can be made ({err.strerror})",
            where=str(err.filename or os.environ.get("TMPDIR") or "TMPDIR"),
            hint="free some space, or set TMPDIR to a folder that can be written",
        ) from err
    try:
        with disk(Path(name)):
            yield Path(name)
    except (RuntimeError, ValueError, EdgekdError) as err:
        if not isinstance(err, ResourceError) and _is_full(Path(name)):
            raise ResourceError("the disk is full", where=name, hint="free some space, or set TMPDIR") from err
        raise
    finally:
        shutil.rmtree(name, ignore_errors=True)


def _is_full(folder: Path) -> bool:
    """Whether not even a megabyte can be written."""
    try:
        write_synced(folder / "probe", bytes(1_000_000))
    except OSError as err:
        return err.errno in _FULL
    return False


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


def replace_folder(folder: Path, files: Mapping[str, bytes], allowed: Callable[[], bool] = lambda: True) -> None:
    """Put a folder of files in place in one rename: it is whole or as it was.

    The parent is locked meanwhile, so that two builds of one ``--out`` don't write into each other's half.

    Args:
        files: by POSIX path inside the folder.
        allowed: asked under the lock whether what stands there may be replaced.

    Raises:
        OutputError: it may not, or it can't be written.
        ResourceError: the disk is full; nothing is left behind.
    """
    aside = aside_of(folder)
    with disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent):
            shutil.rmtree(aside, ignore_errors=True)
            if os.path.lexists(folder) and not allowed():
                raise OutputError("exists", where=str(folder), hint="give --overwrite, or another --out")
            try:
                for name, data in files.items():
                    write_synced(aside / name, data)
                sync_folder(aside)
                if os.path.lexists(folder):
                    exchange(aside, folder)
                else:
                    os.rename(aside, folder)
                sync_folder(folder.parent)
            finally:
                shutil.rmtree(aside, ignore_errors=True)


def replace_file(path: Path, data: bytes) -> None:
    """Put one file in place in one rename: it is whole or as it was. Raises as ``replace_folder``."""
    aside = aside_of(path)
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            try:
                write_synced(aside, data)
                os.replace(aside, path)
                sync_folder(path.parent)
            finally:
                aside.unlink(missing_ok=True)


def clear_aside(folder: Path) -> None:
    """Remove what a killed ``replace_folder`` left beside a folder."""
    if aside_of(folder).exists():
        with disk(folder), _locked(folder.parent):
            shutil.rmtree(aside_of(folder), ignore_errors=True)


@contextmanager
def as_it_was(path: Path) -> Iterator[None]:
    """Put a file back as it was where what is done inside fails."""
    before = path.read_bytes() if path.is_file() else None
    done = False
    try:
        yield
        done = True
    finally:
        if not done and before is None:
            path.unlink(missing_ok=True)
        elif not done:
            replace_file(path, before or b"")


def aside_of(folder: Path) -> Path:
    """Where a folder's (or a file's) next content is written before it is renamed."""
    return folder.parent / f".{folder.name}.new"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
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


def samples_page(out: Path) -> Path:
    """The page of test samples that stands beside a bundle, and not in it: ``<out>.samples.html``."""
    return out.parent / f"{out.name}.samples.html"
