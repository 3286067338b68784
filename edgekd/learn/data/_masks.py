"""Masks that are still pictures: a pixel's number is its class."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data._encoded import BOMB, DECODABLE, cut

FORMATS = ("PNG", "TIFF", "BMP")  # a JPEG has no numbers, but about these
NUMBERS = {"L": np.uint8, "P": np.uint8, "1": np.uint8, "I;16": np.uint16}  # Pillow's modes that hold them


def decode(data: AnyArray, offsets: AnyArray, where: str) -> AnyArray:
    """Masks one after another as (N, H, W) uint8 or uint16; mask i is ``data[offsets[i]:offsets[i + 1]]``.

    A grey is its number, 0..255 or 0..65535; of a palette the number of the colour, as in Pascal VOC's masks.

    Raises:
        DataError: offsets that don't fit, a mask that can't be decoded, in colours, or of another size than the first.
    """
    files = cut(data, offsets, where)
    first = _opened(files[0].tobytes(), f"{where}: mask 0")
    limits.check("bytes", 2 * len(files) * first.size, "more than likely is meant", where)
    masks = np.empty((len(files), *first.shape), first.dtype)
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = Image.open(io.BytesIO(data), formats=FORMATS)
        limits.check("pixels", file.width * file.height, "more pixels than likely are meant", where)
        if file.mode not in NUMBERS:
            allowed = "greys or a palette, whose numbers are the classes"
            raise DataError("a mask in colours", where=where, found=f"Pillow's mode {file.mode}", allowed=allowed)
        return np.asarray(file).astype(NUMBERS[file.mode])
    except UnidentifiedImageError as err:
        allowed = ", ".join(FORMATS)
        raise DataError("not a mask: no picture of a kind without loss", where=where, allowed=allowed) from err
    except BOMB as err:
        raise limits.beyond(
            "pixels", str(err), "more pixels than likely are meant", where, limits.most("pixels")
        ) from err
    except DECODABLE as err:
        raise DataError(f"can't be decoded ({err})", where=where) from err
