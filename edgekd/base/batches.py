"""Raw samples as an app gives them to ``predict``: one or many, as a batch of the shape that a student takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekd.base import samples
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import UsageError

CHANNELS = 8  # a row of so few numbers is one moment of several channels of sound, and no clip


def batched(x: object, sample_shape: Sequence[int]) -> tuple[AnyArray, bool]:
    """One raw sample, or a batch of them, as a batch; and whether it was one.

    A sample of one channel may be H x W or H x W x 1. The shape () is that of a text: a str, or a list of them.

    Raises:
        UsageError: any other shape, or not an array of numbers (of texts); a picture of Pillow in another mode than L
            and RGB, with transparent parts, or turned by EXIF.
    """
    shape = tuple(sample_shape)
    if not shape:
        return _texts(x), isinstance(x, str)
    try:
        for picture in x if isinstance(x, list | tuple) else [x]:
            samples.check_picture(picture)
        array = samples.array_of(x)
    except (ValueError, TypeError, RuntimeError, OSError, SyntaxError) as err:  # unequal lengths; a damaged picture
        raise UsageError("not an array", where="predict", found=x, allowed="samples of one shape") from err
    shapes = [shape, shape[:-1]] if len(shape) == 3 and shape[-1] == 1 else [shape]
    if array.dtype.kind not in "uifb":
        raise UsageError("not an array of numbers", where="predict", found=str(array.dtype))
    for wanted in shapes:
        if array.shape == wanted:
            return array.reshape(1, *shape), True
        if array.ndim == len(wanted) + 1 and array.shape[1:] == wanted:
            return array.reshape(-1, *shape), False
    text = " or ".join(" x ".join(map(str, wanted)) for wanted in shapes)
    raise UsageError("wrong shape", where="predict", found=array.shape, allowed=f"{text}, or a batch (N first)")


def _texts(x: object) -> AnyArray:
    given = [x] if isinstance(x, str) else x.tolist() if isinstance(x, np.ndarray) else x
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        raise UsageError("not a text", where="predict", found=x, allowed="a str, or a list of them")
    return np.array(given, dtype=object)  # as str each text would take the room of the longest


def clips(x: object, length: int) -> tuple[AnyArray, bool]:
    """One clip of any length, (N, T) of one length, or a list of clips, as (N, length); and whether it was one.

    Raises:
        UsageError: no clips of one channel, or an empty one.
    """
    rows: list[AnyArray]
    try:
        if isinstance(x, list | tuple) and x and all(np.ndim(clip) == 1 for clip in x):
            rows, single = [samples.array_of(clip) for clip in x], False
        else:
            array = samples.array_of(x)
            if array.ndim == 2 and array.shape[1] <= CHANNELS < min(len(array), length):
                raise ValueError("a clip of several channels")
            rows, single = ([array] if array.ndim < 2 else list(array)), array.ndim == 1
    except (ValueError, TypeError, RuntimeError) as err:  # lists of unequal lengths within lists
        given = getattr(x, "shape", x)
        raise UsageError("not a clip", where="predict", found=given, allowed="numbers of one channel") from err
    odd = next((clip for clip in rows if clip.ndim != 1 or clip.dtype.kind not in "uif" or not clip.size), None)
    if odd is not None:
        allowed = f"clips of one channel of any length, as numbers; {length} samples of each are heard"
        raise UsageError("not a clip", where="predict", found=(str(odd.dtype), odd.shape), allowed=allowed)
    return np.array([samples.fit(clip, length) for clip in rows]).reshape(len(rows), length), single
