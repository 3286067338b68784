"""Reading .npz files: what the sources that read them share.

What is inside says how large it is before anything is unpacked: the members of the zip file, and the header of each
array. One of another size than its header says is none.
"""

from __future__ import annotations

import hashlib
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _files

# What damaged zip files raise, and those of a kind that Python can't read.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
# What headers raise that numpy, and Python for it, can't read; MemoryError: of a parser whose stack is full.
_HEADERS = (ValueError, TypeError, SyntaxError, tokenize.TokenError, RuntimeError, MemoryError, OverflowError)
MEMBERS = 10_000  # of a file
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes; of others Python unpacks without a bound
SINGLE = ("classes", "rates")  # fields that may be one value, and say themselves what is wrong with it
MAPPED = 16_000_000  # bytes of an array from which on it may stay in the file
LENGTHS = 26  # where in the header of a member stand the lengths of its name and of more
CHUNK = 1 << 22
Arrays = dict[str, AnyArray]
Header = tuple[tuple[int, ...], bool, np.dtype[np.generic]]
Pairs = Iterable[tuple[str, str]]


def fingerprint(path: str, fields: str) -> str:
    """SHA-256 over a file and the fields of its source (without its path)."""
    digest = hashlib.sha256(fields.encode())
    with existing(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_all(path: str, under: str, *, mapped: bool = False) -> Arrays:
    """Every array of a file, by its name in it; arguments and errors of ``read``."""
    return read(path, lambda names: [(name, name) for name in names], under, mapped=mapped)


def read(path: str, wanted: Callable[[list[str]], Pairs], under: str = "data", *, mapped: bool = False) -> Arrays:
    """Some arrays of a file, by their name in it.

    Args:
        wanted: told what is in the file, the (field of the recipe, array) pairs to read.
        under: the table of the recipe that names the file.
        mapped: large tables of numbers (``np.memmap``) stay in the file, where it holds them unpacked.

    Raises:
        DataError: no such file, not an .npz, no such array, or more than is likely meant; names the field.
    """
    where = f"{under}.path: {Path(path).name}"
    file = existing(path, under)
    try:
        if not zipfile.is_zipfile(file):
            raise DataError("not an .npz file", where=where)
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, where)
            pairs = list(wanted(list(members)))
            _check_sizes(members, {key for _, key in pairs}, file.stat().st_size, where)
            fields: dict[str, str] = {}  # each once, however often it is named
            for field, key in pairs:
                fields.setdefault(key, field)
            arrays = {key: _array(archive, members, key, f"{under}.{field}", mapped) for key, field in fields.items()}
    except DAMAGED as err:
        raise DataError(f"not an .npz file ({err})", where=where) from err
    if flat := [key for field, key in pairs if arrays[key].ndim == 0 and field not in SINGLE]:
        raise DataError("a single value, not an array", where=where, found=flat[0])
    return arrays


def names(path: str) -> list[str]:
    """The arrays of a file that ``read`` could read."""
    with zipfile.ZipFile(path) as archive:
        return list(_members(archive, f"data.path: {Path(path).name}"))


def existing(path: str, under: str = "data") -> Path:
    """The path of a file that is there, and not too large."""
    if not Path(path).is_file():
        raise DataError("no such file", where=f"{under}.path", found=path)
    _files.size_of(Path(path), f"{under}.path: {Path(path).name}", "bytes")
    return Path(path)


def _members(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MEMBERS:
        raise DataError("too many arrays", where=where, found=len(entries), allowed=f"at most {MEMBERS:,}")
    return {info.filename.removesuffix(".npy"): info for info in entries}


def _check_sizes(members: Mapping[str, zipfile.ZipInfo], keys: set[str], packed: int, where: str) -> None:
    """Python unpacks no more of a member than it announces."""
    total = sum(members[key].file_size for key in keys if key in members)
    most = limits.most_unpacked(packed)
    limits.check("bytes", total, "unpacks to more than likely is meant", where, most)


def _array(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], key: str, where: str, mapped: bool
) -> AnyArray:
    if key not in members:
        raise DataError("no such array in the file", where=where, found=key, allowed=members)
    info = members[key]
    if info.compress_type not in METHODS or info.flag_bits & 1:
        packing = "encrypted" if info.flag_bits & 1 else f"zip method {info.compress_type}"
        raise DataError("packed in a way that is not read", where=where, found=packing, allowed="stored or deflated")
    with archive.open(info) as file:
        shape, _, dtype = _check_header(file, info.file_size, key, where)
    is_table = len(shape) == 2 and dtype.kind in "fiu" and info.file_size >= MAPPED
    if mapped and is_table and info.compress_type == zipfile.ZIP_STORED:
        return _mapped(archive, info)
    with archive.open(info) as file:
        array: AnyArray = npy.read_array(file, allow_pickle=False)
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        codes = np.ascontiguousarray(array).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if (most := int(codes.max())) > sys.maxunicode:
            raise DataError("texts that are no Unicode", where=where, found=f"U+{most:X}", allowed="up to U+10FFFF")
    return array


def _mapped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> AnyArray:
    """A member that is not packed and whose header is checked, where it lies in the file.

    Raises:
        BadZipFile: its checksum is another's.
    """
    with open(str(archive.filename), "rb") as file:
        file.seek(info.header_offset + LENGTHS)
        names = sum(struct.unpack("<HH", file.read(4)))
        start = info.header_offset + LENGTHS + 4 + names
        file.seek(start)
        left, check = info.file_size, 0
        while chunk := file.read(min(left, CHUNK)):
            left, check = left - len(chunk), zlib.crc32(chunk, check)
        if left or check != info.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
        file.seek(start)
        shape, in_columns, dtype = _header(file)
        return np.memmap(file, dtype, "r", file.tell(), shape, "F" if in_columns else "C")


def _header(file: IO[bytes]) -> Header:
    """Shape, whether it lies column by column, and type of an array."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format {version}")
    header: Header = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    return header


def _check_header(file: IO[bytes], size: int, key: str, where: str) -> Header:
    """The header of an array.

    Raises:
        DataError: it is not what numpy.savez writes of numbers or texts, or not as large as its member.
    """
    try:
        shape, in_columns, dtype = _header(file)
    except _HEADERS as err:
        raise DataError("not an array of numpy", where=where, found=key, allowed="what numpy.savez writes") from err
    if dtype.hasobject:
        hint = "numpy.array(a.tolist()) has a type of its own where all of the list are alike"
        what = "can't be read without pickle (objects)"
        raise DataError(what, where=where, found=key, allowed="numbers or texts", hint=hint)
    if dtype.kind not in "biufSUMm":
        raise DataError("neither numbers nor texts", where=where, found=str(dtype), allowed="numbers or texts")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize != size - file.tell() or (count and not dtype.itemsize):
        declared, held = f"{dtype} {shape}", f"{size - file.tell():,} bytes"
        raise DataError("another size than its header says", where=f"{where}: {key}", found=declared, allowed=held)
    return shape, in_columns, dtype
