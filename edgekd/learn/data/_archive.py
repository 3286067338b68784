"""Reading .npz files: what the sources that read them share."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.errors import DataError

# What damaged zip files raise, and those of a kind that Python can't read.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
Arrays = dict[str, NDArray[Any]]
Pairs = Iterable[tuple[str, str]]


def fingerprint(path: str, fields: str) -> str:
    """SHA-256 over a file and the fields of its source (without its path)."""
    digest = hashlib.sha256(fields.encode())
    with existing(path).open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def read(path: str, wanted: Callable[[list[str]], Pairs]) -> Arrays:
    """Some arrays of a file, by their name in it.

    Args:
        wanted: told what is in the file, the (field of the recipe, array) pairs to read.

    Raises:
        DataError: no such file, not an .npz, or no such array; names the field.
    """
    where = f"data.path: {Path(path).name}"
    if not zipfile.is_zipfile(existing(path)):
        raise DataError("not an .npz file", where=where)
    try:
        with np.load(path, allow_pickle=False) as file:
            known = list(file.files)
            return {key: _array(file, key, known, f"data.{field}") for field, key in wanted(known)}
    except DAMAGED as err:
        raise DataError(f"not an .npz file ({err})", where=where) from err


def names(path: str) -> list[str]:
    """The arrays of a file that ``read`` could read."""
    with np.load(path, allow_pickle=False) as file:
        return list(file.files)


def existing(path: str) -> Path:
    """The path of a file that is there."""
    if not Path(path).is_file():
        raise DataError("no such file", where="data.path", found=path)
    return Path(path)


def _array(file: Any, key: str, known: list[str], where: str) -> NDArray[Any]:
    if key not in known:
        raise DataError("no such array in the file", where=where, found=key, allowed=known)
    try:
        found: NDArray[Any] | bytes = file[key]
    except ValueError as err:
        raise DataError(f"can't be read without pickle ({err})", where=where, found=key) from err
    if isinstance(found, bytes):  # so numpy gives what is no array
        raise DataError("not an array of numpy", where=where, found=key, allowed="what numpy.savez writes")
    return found
