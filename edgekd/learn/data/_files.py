"""Files of data as they lie there: regular ones, of a size that is looked at before anything is read or unpacked."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.errors import DataError

UTF_8 = "utf-8-sig"  # with a mark at its start, or without
_CHUNK = 1 << 20
POINTER = b"version https://git-lfs"


def refuse_pointer(path: Path, where: str) -> None:
    """Raise DataError where a file is what Git leaves in the place of a large one."""
    size_of(path, where, "bytes")
    with path.open("rb") as file:
        is_pointer = file.read(len(POINTER)) == POINTER
    if is_pointer:
        what, hint = "what Git LFS leaves in the place of a file", "git lfs pull brings the file itself"
        raise DataError(what, where=where, found=path.name, hint=hint)


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


def content(path: Path, where: str) -> bytes:
    """The bytes of one picture or sound."""
    size_of(path, where)
    return path.read_bytes()


def span(root: str, item: Sequence[str | int], where: str) -> bytes:
    """The bytes of one sample in a file.

    Args:
        root: the folder that the file's path counts from.
        item: path, stamp, first byte, how many bytes; more may follow.

    Raises:
        DataError: the file is gone, or another one since its stamp was taken; or the sample is larger than likely is
            meant.
    """
    path, stamp, start, size = Path(root, str(item[0])), *map(int, item[1:4])
    return spans(path, stamp, [(start, size)], where)[0]


def spans(path: Path, stamp: int, places: Iterable[tuple[int, int]], where: str) -> list[bytes]:
    """The bytes of some samples in a file, of which the first one and how many each are; raises as ``span`` does."""
    parts, is_same = [], False
    try:
        size_of(path, where, "bytes")
        with path.open("rb") as file:
            is_same = stamp_of(os.fstat(file.fileno())) == stamp
            for start, size in places if is_same else ():
                limits.check("file_bytes", size, "a file larger than likely is meant", where)
                file.seek(start)
                parts.append(file.read(size))
                is_same = is_same and len(parts[-1]) == size
    except OSError as err:
        raise DataError(f"can't be read any more ({err.strerror})", where=where) from err
    if not is_same:
        hint = "leave the data as they are until the build has ended, and run it again"
        raise DataError("the file has changed since the build began", where=where, hint=hint)
    return parts


def named(item: Sequence[str | int]) -> str:
    """What an error calls an item of ``span``: its fifth part, or the end of its path."""
    return str(item[4]) if len(item) > 4 else "/".join(str(item[0]).split("/")[-2:])


def packed(names: Sequence[str]) -> NDArray[np.bytes_]:
    """(N,) names as UTF-8; a path's other bytes as they are."""
    return np.array([name.encode(errors="surrogateescape") for name in names] or [], np.bytes_)


def text(name: bytes) -> str:
    """One of ``packed``."""
    return name.decode(errors="surrogateescape")


def stamp_of(about: os.stat_result) -> int:
    """A number that is another one when a file was written or replaced: of its size, its time and its place."""
    return hash((about.st_size, about.st_mtime_ns, about.st_ino, about.st_dev))


def unpacked(path: Path, where: str) -> bytes:
    """The bytes of a file, or of what is inside of a ``.gz``: counted in a first pass, which keeps nothing.

    Raises:
        DataError: damaged, or more than ``limits.most_unpacked``.
    """
    count = unpacked_size(path, where)
    if path.suffix != ".gz":
        return path.read_bytes()
    with _unpacking(where), gzip.open(path) as file:
        return file.read(count)


def unpacked_size(path: Path, where: str) -> int:
    """How many bytes ``unpacked`` gives; raises what it does."""
    size = size_of(path, where, "bytes")
    if path.suffix != ".gz":
        return size
    most, count = limits.most_unpacked(size), 0
    with _unpacking(where), gzip.open(path) as file:
        while chunk := file.read(_CHUNK):
            count += len(chunk)
            limits.check("bytes", count, "unpacks to more than likely is meant", where, most)
    return count


@contextmanager
def text_of(path: Path, where: str, newline: str) -> Iterator[io.TextIOBase]:
    """The text of a file, or of what is inside of a ``.gz``, of which a part at a time is in memory.

    Args:
        newline: as ``open`` takes it: what ends a line.

    Raises:
        DataError: as ``unpacked`` does. UnicodeDecodeError: some of it is no UTF-8, of which it tells the place in the
            whole; where a DataError is raised inside, and where it is no UTF-8 as well, this goes first.
    """
    unpacked_size(path, where)
    opens = gzip.open if path.suffix == ".gz" else open
    try:
        with opens(path, "rt", encoding=UTF_8, newline=newline) as text:
            yield cast("io.TextIOBase", text)
    except (UnicodeDecodeError, DataError):
        unpacked(path, where).decode(UTF_8)
        raise


def no_utf8(path: Path, where: str) -> DataError:
    """The error on a file, or on what is inside of a ``.gz``, whose text is no UTF-8; names the first such line."""
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
        for number, line in enumerate(cast("io.BufferedIOBase", file), start=1):
            kind = "UTF-16" if number == 1 and line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "Latin-1, or so"
            try:
                line.decode(UTF_8)
            except UnicodeDecodeError as err:
                bad, hint = line[err.start : err.start + 1], f"it seems to be {kind}: save it as UTF-8"
                return DataError("not UTF-8", where=f"{where}, line {number}", found=bad, allowed="UTF-8", hint=hint)
    return DataError("not UTF-8", where=where, allowed="UTF-8")


@contextmanager
def _unpacking(where: str) -> Iterator[None]:
    """Tell what is raised of a file that is damaged."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"can't be read ({err})", where=where) from err
