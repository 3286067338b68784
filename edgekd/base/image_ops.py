"""Preprocessing ops on images (N, H, W, C) whose size they change or whose channels they mix; see ``preprocess``.

Each is a function of its JSON arguments; those with a default may be left out where ops are written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits, resampling
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, RecipeError

Op = Mapping[str, Any]  # JSON: ``op`` is its name, the other keys its arguments
Size = tuple[int, int]  # height and width
Value = float | Sequence[float]  # for every channel, or one for each

CHOICES = {"interpolation": ("nearest", *resampling.FILTERS), "position": ("middle", "top_left")}
LONGEST = 65_536  # pixels of a side
SIZES = ("height", "width")
PADS = (SIZES, ("multiple",), ("aspect",))  # which keys say how far ``pad`` goes: those of one of these


def check_value(key: str, value: object, where: str) -> None:
    """Raise RecipeError for a malformed argument, of the keys that are described here alone."""
    if key in CHOICES:
        if not isinstance(value, str) or value not in CHOICES[key]:
            raise RecipeError(f"unknown {key}", where=where, found=value, allowed=CHOICES[key])
    elif key == "aspect":
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_side, value)):
            allowed = f"[height, width], whole numbers from 1 to {LONGEST}"
            raise RecipeError("malformed", where=where, found=value, allowed=allowed)
    elif key in ("top", "left"):
        if type(value) is not int or not 0 <= value < LONGEST:
            allowed = f"a whole number from 0 to {LONGEST - 1}"
            raise RecipeError("out of range", where=where, found=value, allowed=allowed)
    elif not _is_side(value):
        raise RecipeError("out of range", where=where, found=value, allowed=f"a whole number from 1 to {LONGEST}")


def _is_side(value: object) -> bool:
    return type(value) is int and 1 <= value <= LONGEST


def check_op(op: Op, where: str) -> None:
    """Raise RecipeError where arguments that are fine by themselves don't go together."""
    name = op["op"]
    if name == "pad" and {key for keys in PADS for key in keys if key in op} not in [{*keys} for keys in PADS]:
        allowed = "height and width, multiple, or aspect"
        raise RecipeError("pad needs one way to say its size", where=where, found=[*op], allowed=allowed)
    height, width = op.get("height", 1), op.get("width", 1)
    if name != "crop" and height * width > (most := limits.most("pixels")):
        size, allowed = f"{height} x {width}", f"at most {most:,} pixels"
        raise RecipeError("larger than likely is meant", where=where, found=size, allowed=allowed)


def size_after(op: Op, size: Size) -> Size:
    """What a checked op makes of an image's size.

    On its way through ``resize`` an image never has more pixels than before or after: the pass that comes first is one
    that makes it smaller, wherever one does (``resampling.rows_first``).
    """
    if op["op"] == "pad":
        return _padded(size, op.get("height", 0), op.get("width", 0), op.get("multiple", 0), op.get("aspect", ()))
    return (op["height"], op["width"]) if op["op"] in ("crop", "resize", "letterbox") else size


def crop(x: AnyArray, height: int, width: int, top: int | None = None, left: int | None = None) -> AnyArray:
    """A part: the middle, top = (H - height) // 2, left alike, where these are not said."""
    top, left = crop_place((x.shape[1], x.shape[2]), (height, width), top, left)
    if not (0 <= top <= x.shape[1] - height and 0 <= left <= x.shape[2] - width):
        raise DataError("crop is larger than the image", where="preprocess", found=x.shape[1:3])
    return x[:, top : top + height, left : left + width]


def crop_place(size: Size, wanted: Size, top: int | None = None, left: int | None = None) -> Size:
    """Where ``crop`` begins: the row and the column."""
    middle = (size[0] - wanted[0]) // 2, (size[1] - wanted[1]) // 2
    return middle[0] if top is None else top, middle[1] if left is None else left


def resize(x: AnyArray, height: int, width: int, interpolation: str = "nearest") -> AnyArray:
    """Another size: by a filter of ``resampling``, or the nearest pixels, (2 y + 1) H // (2 height), columns alike."""
    if 0 in x.shape[1:3]:
        raise DataError("an image without pixels", where="preprocess", found=x.shape)
    if interpolation != "nearest":
        return resampling.resized(x, height, width, interpolation)
    rows = (2 * np.arange(height) + 1) * x.shape[1] // (2 * height)
    columns = (2 * np.arange(width) + 1) * x.shape[2] // (2 * width)
    return x[:, rows[:, None], columns[None, :]]


def letterbox(
    x: AnyArray,
    height: int,
    width: int,
    interpolation: str = "nearest",
    value: Value = 0,
    position: str = "middle",
) -> AnyArray:
    """Resized to the largest of its own aspect that fits, see ``inside``, and padded."""
    if 0 in x.shape[1:3]:
        raise DataError("an image without pixels", where="preprocess", found=x.shape)
    inner = inside((x.shape[1], x.shape[2]), (height, width))
    return pad(resize(x, *inner, interpolation), height, width, value=value, position=position)


def inside(size: Size, wanted: Size) -> Size:
    """The largest size of an aspect inside ``wanted``: one side is full, the other rounded, a half up, 1 at least."""
    (high, wide), (height, width) = size, wanted
    if width * high >= height * wide:
        return height, max(1, (2 * wide * height + high) // (2 * high))
    return max(1, (2 * high * width + wide) // (2 * wide)), width


def pad(
    x: AnyArray,
    height: int = 0,
    width: int = 0,
    multiple: int = 0,
    aspect: Sequence[int] = (),
    value: Value = 0,
    position: str = "middle",
) -> AnyArray:
    """Pixels of one colour around: (height - H) // 2 above and (width - W) // 2 left of it, or none above and left.

    Args:
        height, width: to this size; or
        multiple: to the next multiple of it, each side by itself; or
        aspect: to the smallest size that has this height by width, the longer side rounded up.
        value: of a pixel, within the numbers' type; for every channel, or one for each.

    Raises:
        DataError: the image is larger, no pixel has such a value, or it would be larger than likely is meant.
    """
    tall, broad = _padded((x.shape[1], x.shape[2]), height, width, multiple, aspect)
    if tall < x.shape[1] or broad < x.shape[2]:
        raise DataError("pad to less than the image", where="preprocess", found=x.shape[1:3], allowed=f"{tall}x{broad}")
    limits.check("pixels", tall * broad, "larger than likely is meant", "preprocess: pad")
    values = np.atleast_1d(np.asarray(value, np.float64))
    if len(values) not in (1, x.shape[3]):
        counts = f"{len(values)} numbers, {x.shape[3]} channels"
        raise DataError("value is of other channels", where="preprocess.value", found=counts)
    if not _holds(x.dtype, values):
        raise DataError("value is no pixel", where="preprocess.value", found=value, allowed=str(x.dtype))
    padded = np.empty((len(x), tall, broad, x.shape[3]), x.dtype)
    padded[:] = values
    top, left = (0, 0) if position == "top_left" else ((tall - x.shape[1]) // 2, (broad - x.shape[2]) // 2)
    padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    return padded


def _holds(dtype: np.dtype[np.generic], values: NDArray[np.float64]) -> bool:
    if not np.issubdtype(dtype, np.integer):
        return dtype.kind == "f"
    limit = np.iinfo(dtype.name)
    return bool(((values == np.rint(values)) & (values >= limit.min) & (values <= limit.max)).all())


def _padded(size: Size, height: int = 0, width: int = 0, multiple: int = 0, aspect: Sequence[int] = ()) -> Size:
    high, wide = size
    if multiple:
        return -(-high // multiple) * multiple, -(-wide // multiple) * multiple
    if aspect:
        return max(high, -(-wide * aspect[0] // aspect[1])), max(wide, -(-high * aspect[1] // aspect[0]))
    return height, width


def bgr(x: AnyArray) -> AnyArray:
    """Red, green, blue in the order blue, green, red, as OpenCV has them."""
    if x.shape[3] != 3:
        raise DataError("bgr takes three channels", where="preprocess", found=x.shape[3])
    return x[..., ::-1]


def grey(x: AnyArray) -> AnyArray:
    """(77 R + 150 G + 29 B + 128) >> 8 on uint8, one channel."""
    if x.dtype != np.uint8 or x.shape[-1] != 3:
        raise DataError("grey takes uint8 RGB", where="preprocess", found=f"{x.dtype} with {x.shape[-1]} channels")
    wide = x.astype(np.uint16)
    return ((77 * wide[..., 0] + 150 * wide[..., 1] + 29 * wide[..., 2] + 128) >> 8).astype(np.uint8)[..., None]


def edges(x: AnyArray) -> AnyArray:
    """(|a| + |b|) >> 3 on uint8, each channel; a, b: Sobel's 3x3 sums, border repeated."""
    if x.dtype != np.uint8:
        raise DataError("edges takes uint8", where="preprocess", found=str(x.dtype))
    p = np.pad(x.astype(np.int32), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    columns = p[:, :, :-2] + 2 * p[:, :, 1:-1] + p[:, :, 2:]
    across, down = rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2]
    return ((np.abs(across) + np.abs(down)) >> 3).astype(np.uint8)
