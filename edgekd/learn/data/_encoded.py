"""Images that are still JPEG or PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edgekd.errors import DataError

DECODABLE = (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError)


def decode(data: NDArray[Any], offsets: NDArray[Any], limit: int | None, where: str) -> NDArray[np.uint8]:
    """Images one after another as (N, H, W, C) uint8; image i is ``data[offsets[i]:offsets[i + 1]]``.

    Raises:
        DataError: offsets that don't fit, an image that can't be decoded or has another size than the first.
    """
    if data.dtype != np.uint8 or data.ndim != 1:
        raise DataError(
            "encoded images are a row of bytes", where=where, found=f"{data.dtype} {data.shape}", allowed="uint8 (n,)"
        )
    good = offsets.ndim == 1 and len(offsets) >= 2 and offsets.dtype.kind in "iu"
    if not good or offsets[0] < 0 or offsets[-1] > len(data) or bool((np.diff(offsets) <= 0).any()):
        raise DataError("offsets must rise and stay inside the bytes", where=where, found=offsets.shape)
    count = min(len(offsets) - 1, limit if limit is not None else len(offsets))
    found: NDArray[np.uint8] | None = None
    for i in range(count):
        image = open_image(data[offsets[i] : offsets[i + 1]].tobytes(), f"{where}: image {i}")
        if found is None:
            found = np.empty((count, *image.shape), np.uint8)
        if image.shape != found.shape[1:]:
            raise DataError(
                "an image of another size", where=f"{where}: image {i}", found=image.shape, allowed=str(found.shape[1:])
            )
        found[i] = image
    assert found is not None
    return found


def open_image(
    data: bytes, where: str, size: tuple[int, int] | None = None, mode: str | None = None
) -> NDArray[np.uint8]:
    """One image as (H, W, C) uint8.

    Args:
        size: (height, width) to resize to.
        mode: Pillow's ``"L"`` (one channel) or ``"RGB"``; None: as the image comes, grey or RGB.
    """
    try:
        file = Image.open(io.BytesIO(data))
        image = file.convert(mode or ("L" if file.mode in ("L", "1", "I;16") else "RGB"))
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    except DECODABLE as err:
        raise DataError(f"can't be decoded ({err})", where=where) from err
    array = np.asarray(image, dtype=np.uint8)
    return array[..., None] if array.ndim == 2 else array
