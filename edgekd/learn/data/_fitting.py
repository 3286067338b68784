"""Pictures of any size made one size: by which filter, and what becomes of another aspect."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgekd.base import image_ops, limits
from edgekd.base.arrays import AnyArray
from edgekd.base.image_ops import Size

Interpolation = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
Fit = Literal["stretch", "crop", "letterbox"]


def fitted(image: Image.Image, size: Size, interpolation: str, fit: str, where: str) -> NDArray[np.uint8]:
    """A picture of 8 bits a colour in another size: what the op ``resize`` makes of it, by Pillow.

    Args:
        size: (height, width).
        interpolation: of ``Interpolation``.
        fit: ``stretch``: each side by itself; ``crop``: the smallest of its aspect that covers the size, and of it the
            middle; ``letterbox``: the largest of its aspect that fits, black around.
        where: the picture's place, for errors.

    Returns:
        (height, width, channels).

    Raises:
        DataError: so long and thin that to cover the size it would have more pixels than likely are meant.
    """
    was = image.height, image.width
    inner = _inner(was, size, fit, where)
    if was != inner and interpolation != "nearest":
        image = image.resize((inner[1], inner[0]), Image.Resampling[interpolation.upper()])
    array = np.asarray(image, dtype=np.uint8)
    batch = (array if array.ndim == 3 else array[..., None])[None]
    if was != inner and interpolation == "nearest":
        batch = image_ops.resize(batch, *inner)
    batch = image_ops.pad(batch, *size) if fit == "letterbox" else image_ops.crop(batch, *size)
    return np.asarray(batch[0], dtype=np.uint8)


def fitted_mask(mask: AnyArray, size: Size, fit: str, outside: int, where: str) -> AnyArray:
    """The numbers of a picture's pixels, (H, W), where the picture is ``fitted``: each that of the nearest pixel.

    Args:
        outside: the number around it, of ``letterbox``.
        size, fit, where: see ``fitted``; raises as it does.
    """
    batch = image_ops.resize(mask[None, ..., None], *_inner((mask.shape[0], mask.shape[1]), size, fit, where))
    batch = image_ops.pad(batch, *size, value=outside) if fit == "letterbox" else image_ops.crop(batch, *size)
    return batch[0, ..., 0]


def _inner(was: Size, size: Size, fit: str, where: str) -> Size:
    """What a picture is resized to before it is cropped, or padded."""
    inner = {"crop": covering, "letterbox": image_ops.inside}[fit](was, size) if fit != "stretch" else size
    limits.check("pixels", inner[0] * inner[1], "too long and thin to be cropped", where)
    return inner


def covering(size: Size, wanted: Size) -> Size:
    """The smallest size of an aspect around ``wanted``: one side is as wanted, the other rounded, a half up."""
    (high, wide), (height, width) = size, wanted
    if width * high >= height * wide:
        return max(height, (2 * high * width + wide) // (2 * wide)), width
    return height, max(width, (2 * wide * height + high) // (2 * high))
