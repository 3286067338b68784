"""Arrays as pictures of a page: how they lie, and as a PNG inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgekd.base.arrays import AnyArray


def layout(array: AnyArray) -> AnyArray | None:
    """(H, W) or (H, W, 3 or 4) of a picture, channels first or last; None: it is none."""
    if array.ndim not in (2, 3):
        return None
    if array.ndim == 2:
        return array
    if array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in (1, 3, 4):
        return None
    return array[..., 0] if array.shape[-1] == 1 else array


def png(pixels: NDArray[np.uint8]) -> str:
    """(H, W) or (H, W, 3 or 4) as a URL that holds the picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
