"""Writing so that nothing is ever half there: fsync, read back, rename; what a disk refuses is no bug."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edgekd.base import aside, faults, locks, places
from edgekd.base.errors import EdgekdError, OutputError, ResourceError, UsageError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_TEMPORARY = re.compile(r"edgekd-[a-z]+-[0-9a-f]{32}")
_CHUNK = 1 << 20


def cache_root() -> Path:
    """The cache: ``$EDGEKD_CACHE``, else ``$XDG_CACHE_HOME/edgekd``, else ``~/.cache/edgekd``."""
    if chosen := os.environ.get("EDGEKD_CACHE"):
        return users_path(chosen, "EDGEKD_CACHE")
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


def users_path(path: str | os.PathLike[str], where: str) -> Path:
    """A path that the user gave; ``~`` is the home folder here, too, where no shell read it.

    Raises:
        UsageError: an empty one, as a variable is that was never set: it would be the current folder.
    """
    text = os.fspath(path)
    if not text:
        raise UsageError("an empty path", where=where, allowed="a path; . is the current folder")
    return home(where) / text[2:] if text == "~" or text.startswith("~/") else Path(text)


@contextmanager
def temporary(purpose: str) -> Iterator[Path]:
    """A folder of its own for a moment, in ``$TMPDIR``; what killed runs left there goes first.

    A runtime that writes there itself says of a full disk what it likes (OpenVINO: ``iostream error``); so whatever
    went wrong inside, it was the disk's fault if the disk takes no more.

    Raises:
        ResourceError: the disk is full or fails, or there is no folder for temporary files.
    """
    with disk(Path("TMPDIR")), ExitStack() as stack:
        try:
            parent = Path(tempfile.gettempdir())
            aside.clear(parent, _TEMPORARY)
            folder = stack.enter_context(aside.private(parent / f"edgekd-{purpose}-"))
        except OSError as err:
            raise ResourceError(
                f"no folder for temporary files can be made ({err.strerror})",
                where=str(err.filename or os.environ.get("TMPDIR") or "TMPDIR"),
                hint="free some space, or set TMPDIR to a folder that can be written",
            ) from err
        try:
            with disk(folder):
                yield folder
        except (RuntimeError, ValueError, EdgekdError) as err:
            if not isinstance(err, ResourceError) and _is_full(folder):
                raise ResourceError(
                    "the disk is full", where=str(folder), hint="free some space, or set TMPDIR"
                ) from err
            raise


def _is_full(folder: Path) -> bool:
    """Whether not even a megabyte can be written."""
    try:
        write_synced(folder / "probe", bytes(1_000_000))
    except OSError as err:
        return err.errno in faults.FULL
    except ResourceError:  # it was not kept
        return True
    return False


@contextmanager
def disk(where: Path) -> Iterator[None]:
    """Turn every ``OSError`` into an error that says what failed, and where; see ``faults.told``."""
    try:
        yield
    except OSError as err:
        raise faults.told(err, where) from err


def write_synced(path: Path, data: bytes) -> None:
    """Write one new file, its folder too where missing, make it durable and read it back.

    Raises:
        OSError: also where something stands there already, were it a link.
        ResourceError: the disk took the bytes and does not give them back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, aside.NEW, 0o666)
    try:
        _fill(handle, path, data, path)
    finally:
        os.close(handle)


def _fill(handle: int, path: Path, data: bytes, where: Path) -> None:
    """Write a new file by its handle, make it durable, and compare what the file system says it holds."""
    try:
        rest = memoryview(data)
        while rest:
            taken = os.write(handle, rest[:_CHUNK])
            if not taken:
                raise OSError(errno.EIO, "nothing was written")
            rest = rest[taken:]
        os.fsync(handle)
        kept = _is_kept(handle, path, data)
    except OSError as err:
        err.filename = err.filename or str(path)
        raise
    if not kept:
        raise not_kept(where)


def not_kept(where: Path) -> ResourceError:
    """What to raise of a file that the disk took and does not give back."""
    hint = "does the disk fail? free some space, or write to another one"
    return ResourceError("was written, and holds something else when it is read back", where=str(where), hint=hint)


def _is_kept(handle: int, path: Path, data: bytes) -> bool:
    """Whether a file, opened anew, holds the bytes that were written, and no more."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):  # so that the disk is asked and not the cache before it
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    again = os.open(path, aside.LOOK)
    try:
        at = 0
        while part := os.read(again, _CHUNK):
            if part != data[at : at + len(part)]:  # a copy: comparing a memoryview takes five times as long
                return False
            at += len(part)
        return at == len(data) and os.path.samestat(os.fstat(handle), os.fstat(again))
    finally:
        os.close(again)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as err:
        err.filename = err.filename or str(folder)
        raise
    finally:
        os.close(handle)


def replace_folder(folder: Path, files: Mapping[str, bytes], allowed: Callable[[], bool] = lambda: True) -> None:
    """Put a folder of files in place in one rename: it is whole or as it was.

    The parent is locked meanwhile, so that of two builds of one ``--out`` each sees what the other put there.

    Args:
        files: by POSIX path inside the folder.
        allowed: asked under the lock whether what stands there may be replaced.

    Raises:
        OutputError: it may not, or it can't be written.
        ResourceError: the disk is full or fails; nothing is left behind.
    """
    with disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locks.folder(folder.parent):
            aside.clear(folder.parent, of=folder.name)
            if os.path.lexists(folder) and not allowed():
                raise OutputError("exists", where=str(folder), hint="give --overwrite, or another --out")
            with aside.folder(folder) as new:
                for name, data in files.items():
                    write_synced(new / name, data)
                for inner in {(new / name).parent for name in files} | {new}:
                    sync_folder(inner)
                if os.path.lexists(folder):
                    exchange(new, folder)
                else:
                    os.rename(new, folder)
                sync_folder(folder.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Put one file in place in one rename: it is whole or as it was. Raises as ``replace_folder``."""
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locks.folder(path.parent):
            aside.clear(path.parent, of=path.name)
            with aside.file(path) as (new, handle):
                _fill(handle, new, data, path)
                os.replace(new, path)
                sync_folder(path.parent)


def clear_leftovers(path: Path) -> None:
    """Remove what killed runs left beside a path; not while another process puts something in place there."""
    with suppress(OSError), locks.folder(path.parent, patience=0) as ours:
        if ours:
            aside.clear(path.parent, of=path.name)


@contextmanager
def as_it_was(path: Path) -> Iterator[None]:
    """Put a file back as it was where what is done inside fails."""
    with disk(path):
        before = path.read_bytes() if places.kind(path) == "file" else None
    done = False
    try:
        yield
        done = True
    finally:
        if not done and before is None:
            with disk(path):
                path.unlink(missing_ok=True)
        elif not done:
            replace_file(path, before or b"")


def exchange(new: Path, old: Path) -> None:
    """Swap two folders; on Linux in one step, so that ``old`` always names a whole one.

    Elsewhere a process that dies between two renames leaves the old one aside: ``aside.clear`` puts it back.
    """
    if _swap(new, old):
        return
    gone = aside.name_of(old)
    gone = gone.with_name(gone.name + aside.WAS)
    os.rename(old, gone)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(gone, old)
        raise
    os.rename(gone, new)


def _swap(new: Path, old: Path) -> bool:
    """Swap two names in one step, where the system and the file system know how."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    done: int = libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE)
    return done == 0


def samples_page(out: Path) -> Path:
    """The page of test samples that stands beside a bundle, and not in it: ``<out>.samples.html``."""
    return out.parent / f"{out.name}.samples.html"
