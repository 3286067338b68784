"""Masks that are still pictures: a pixel's number is its class."""

from __future__ import annotations

import numpy as np

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data._encoded import DECODABLE, cut, opened

FORMATS = ("PNG", "TIFF", "BMP")  # a JPEG has no numbers, but about these
NUMBERS = ("L", "P", "1", "I;16")  # Pillow's modes that hold them


def decode(data: AnyArray, offsets: AnyArray, where: str) -> AnyArray:
    """Masks one after another as (N, H, W) uint16; mask i is ``data[offsets[i]:offsets[i + 1]]``.

    A grey is its number, 0..255 or 0..65535; of a palette the number of the colour, as in Pascal VOC's masks.

    Raises:
        DataError: offsets that don't fit, a mask that can't be decoded, in colours, or of another size than the first.
    """
    files = cut(data, offsets, where)
    first = _opened(files[0].tobytes(), f"{where}: mask 0")
    limits.check("bytes", 8 * len(files) * first.size, "more than likely is meant", where)
    masks = np.empty((len(files), *first.shape), np.uint16)
    for i, file in enumerate(files):
        mask = _opened(file.tobytes(), f"{where}: mask {i}") if i else first
        if mask.shape != first.shape:
            allowed = f"{first.shape}, as the first"
            raise DataError("a mask of another size", where=f"{where}: mask {i}", found=mask.shape, allowed=allowed)
        masks[i] = mask
    return masks


def _opened(data: bytes, where: str) -> AnyArray:
    """(H, W) of one file."""
    try:
        file = opened(data, where)
        if file.format not in FORMATS:
            raise DataError("not a mask: pixels that are not kept", where=where, found=file.format, allowed=FORMATS)
        if file.mode not in NUMBERS:
            allowed = "greys or a palette, whose numbers are the classes"
            raise DataError("a mask in colours", where=where, found=f"Pillow's mode {file.mode}", allowed=allowed)
        return np.asarray(file).astype(np.uint16)
    except DECODABLE as err:
        raise DataError(f"can't be decoded ({err})", where=where) from err
