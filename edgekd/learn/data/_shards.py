"""What lies in tar files of samples (WebDataset's form), without unpacking anything.

Files that follow one another and have a name in common up to its first dot are one sample: ``a/0.jpg``, ``a/0.cls``.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.learn.data import _files

_NAME = re.compile(r"((?:.*/|)[^./][^./]*)\.([^/]*)", re.DOTALL)  # what a sample is called, and its part
_BLOCK = 512  # bytes: a tar file is made of such, and ends with one of zeros
SMALL = 1 << 20  # bytes of a label


class Part(NamedTuple):
    """A file in a tar file: its first byte and how many."""

    start: int
    size: int


def samples(path: Path, where: str) -> Iterator[tuple[str, dict[str, Part]]]:
    """Each sample of a tar file: its name, and its parts by their ending in lower case.

    Raises:
        DataError: not a tar file, a packed one, one that is cut off or damaged, a name or a part of a sample twice.
    """
    names: set[str] = set()
    name, parts = "", dict[str, Part]()
    for member_name, part in _members(path, where):
        match = _NAME.fullmatch(member_name)
        if match is None:
            continue
        key, ending = match[1], match[2].lower()
        if key != name and parts:
            yield name, parts
            parts = {}
        if key != name and key in names:
            hint = "the files of a sample stand one behind the other"
            raise DataError("a sample that stands there twice", where=where, found=key, hint=hint)
        if ending in parts:
            raise DataError("a file of a sample that stands there twice", where=where, found=f"{key}.{ending}")
        name = key
        names.add(key)
        parts[ending] = part
    if parts:
        yield name, parts


def small(file: IO[bytes], part: Part, where: str) -> bytes:
    """The bytes of a label."""
    if part.size > SMALL:
        allowed = f"at most {SMALL:,} bytes"
        raise DataError("larger than a label is", where=where, found=f"{part.size:,} bytes", allowed=allowed)
    file.seek(part.start)
    return file.read(part.size)


def _members(path: Path, where: str) -> Iterator[tuple[str, Part]]:
    """Name and place of each regular file in a tar file, in order."""
    size = _files.size_of(path, where, "bytes")
    try:
        with path.open("rb") as file:
            if (packed := _packing(file)) is not None:
                hint = f"unpack it: {packed} -d {path.name}"
                raise DataError("packed: nothing in it can be found without unpacking all", where=where, hint=hint)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    archive.members = []  # type: ignore[attr-defined]  # else it keeps all of them
                    if member.offset_data + member.size > size:
                        raise _cut(where, member.name)
                    if member.isreg():
                        limits.check("file_bytes", member.size, "a file larger than likely is meant", where)
                        yield member.name, Part(member.offset_data, member.size)
                file.seek(archive.offset)
                if file.read(_BLOCK) != bytes(_BLOCK):
                    raise _cut(where, f"byte {archive.offset:,}")
    except tarfile.TarError as err:
        raise DataError(f"not a tar file, or a damaged one ({err})", where=where) from err


def _packing(file: IO[bytes]) -> str | None:
    """The program that unpacks what is no plain tar file."""
    start = file.read(6)
    file.seek(0)
    kinds = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
    return next((program for magic, program in kinds.items() if start.startswith(magic)), None)


def _cut(where: str, place: str) -> DataError:
    hint = "copy or download the shard again: its size is not what it was made with"
    return DataError("cut off, or damaged in the middle", where=where, found=place, hint=hint)
