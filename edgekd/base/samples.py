"""Raw samples as an app brings them: numbers like those of the training, and clips of the length that is heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import UsageError

LARGEST = float(np.finfo(np.float32).max)
SCALED = 1.0  # what pictures that are divided by 255 stay within
NORMALISED = 5.0  # and those that are brought to mean 0 and deviation 1
CHANNELS = (1, 3, 4)  # that pictures have
ORIENTATION = 0x0112  # of EXIF: 1 is upright, 2 to 8 are turned or mirrored
# What raw samples of these types are within. Floats may go a quarter beyond, as after resizing or resampling.
RANGES = {"uint8": (0, 255), "int16": (-32_768, 32_767)}


def sides(shape: Sequence[int], channels_last: bool = False) -> tuple[int, int]:
    """Height and width of pictures (N, H, W, C), or (N, C, H, W) where they enter a network as they come.

    Args:
        shape: of all four axes.
        channels_last: whether the last one is known to be of channels; else it is where it is as long as these are.
    """
    is_last = channels_last or shape[3] in CHANNELS
    height, width = shape[1:3] if is_last else shape[2:4]
    return int(height), int(width)


def array_of(given: Any) -> AnyArray:
    """What a user's own code holds as numbers: lists, arrays, scipy's sparse matrices, torch tensors of any device.

    Raises:
        TypeError, ValueError, RuntimeError: it can't be made an array.
    """
    if hasattr(given, "toarray"):  # of scipy
        given = given.toarray()
    elif hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.to_dense() if str(given.layout) != "torch.strided" else given
        # numpy has no bfloat16 and no float8; every value of theirs is one of float32.
        given = given.float().numpy() if given.is_floating_point() and given.itemsize < 4 else given.numpy()
    elif hasattr(given, "__array__"):
        if np.ma.is_masked(given):
            raise ValueError("masked values: fill them in, or leave their samples out")
        given = given.__array__()
    return np.asarray(given)


def check_picture(given: Any) -> None:
    """Hold a picture of Pillow, which need not be installed, against how training reads one; other things pass.

    Its numbers are indices for a palette, truth values for black and white, and not turned as its EXIF data say.

    Raises:
        UsageError: another mode than L and RGB, transparent parts, or an orientation other than upright.
    """
    if not all(hasattr(given, name) for name in ("mode", "getexif", "convert")):
        return
    clear = bool(getattr(given, "has_transparency_data", False))
    turned = given.getexif().get(ORIENTATION, 1)
    if given.mode in ("L", "RGB") and not clear and turned not in range(2, 9):
        return
    traits = [f"mode {given.mode}", *["transparent"] * clear, *[f"EXIF orientation {turned}"] * (turned != 1)]
    hint = 'ImageOps.exif_transpose(im).convert("RGB"), or "L" for greys'
    if given.mode.startswith(("I", "F")):  # of those convert("L") keeps no more than 0 to 255
        grey, most = "numpy.asarray(ImageOps.exif_transpose(im))", 1 if given.mode == "F" else 65_535
        hint = f"numpy.rint({grey} * (255 / {most})).astype('uint8'), as often as the student has channels"
    if clear:
        white = 'Image.alpha_composite(Image.new("RGBA", im.size, "white"), im.convert("RGBA"))'
        hint += f"; what is transparent lies on white in training: before that im = {white}"
    allowed = "a picture of mode L or RGB that stands upright, or an array"
    message = "a picture that is not read as in training"
    raise UsageError(message, where="predict", found=", ".join(traits), allowed=allowed, hint=hint)


def check_numbers(raw: AnyArray, dtype: str, where: str = "predict") -> None:
    """Hold raw samples against what a student's raw samples are.

    Args:
        raw: a batch of samples, (N, ...). Of uint8 those of one axis are rows of a table, and others pictures.
        dtype: of the raw samples of the training, such as ``uint8``; "" where it is not known.

    Raises:
        UsageError: NaN or Inf, or more than float32 holds; for a student of pictures in uint8 also truth values, and
            what was scaled or normalised (floats not all 0 within -1..1, or within -5..5 with negative ones); for one
            of it or of int16 a sample that holds fractions within -1..1 alone; for sounds 8-bit ones; for all of uint8
            or int16 what lies outside of the type's range.
    """
    if raw.dtype.kind not in "uifb" and dtype in RANGES:
        raise UsageError("not numbers", where=where, found=str(raw.dtype), allowed=f"raw {dtype} samples")
    if not raw.size or (raw.dtype.kind != "f" and dtype not in RANGES):
        return
    low, high = float(raw.min()), float(raw.max())  # NaN where there is one
    if not -LARGEST <= low <= high <= LARGEST:
        bad = raw[~(np.abs(raw) <= LARGEST)][0]
        raise UsageError("not finite numbers", where=where, found=float(bad), allowed="numbers that float32 holds")
    if dtype in RANGES:
        _check_range(raw, dtype, low, high, where)


def _check_range(raw: AnyArray, dtype: str, low: float, high: float, where: str) -> None:
    least, most = RANGES[dtype]
    table = dtype == "uint8" and raw.ndim <= 2  # numbers of any kind: of them 1 may be much, and halves a mean
    if raw.dtype.kind == "b" and not table:
        hint = "give the samples as they were read; of a mask of black and white: mask.astype('uint8') * 255"
        raise UsageError("truth values", where=where, found="bool", allowed=f"raw {dtype} samples", hint=hint)
    top, slack = max(-low, high), (most - least) / 4 if raw.dtype.kind == "f" else 0
    odd = _scaled(raw) if raw.dtype.kind == "f" and not table else None
    if odd is not None:
        where, low, high = f"{where}: sample {odd}", float(raw[odd].min()), float(raw[odd].max())
    scaled = odd is not None
    if dtype == "uint8" and raw.dtype.kind == "f" and not table:
        scaled |= 0 < top <= SCALED or (low < 0 and top <= NORMALISED)
    what = "numbers" if table else "pixels" if dtype == "uint8" else "sounds"
    message = None
    if scaled:
        how = "scaled" if low >= 0 or dtype == "int16" else "normalised"
        message = f"{how} already: the preprocessing is part of the student"
    elif low < least - slack or high > most + slack:
        message = "numbers beyond those of the training"
    elif dtype == "int16" and raw.dtype == np.uint8:
        message = "sounds of 8 bits"
    if message:
        code = f"(x * {most}).round().astype('{dtype}') of what was divided by {most + 1 if least else most}"
        raise UsageError(
            message,
            where=where,
            found=f"{raw.dtype} from {low:.3g} to {high:.3g}",
            allowed=f"raw {dtype} samples, such as {what} from {least} to {most}",
            hint="give them as in the training" if table else f"give them as they were read, or {code}",
        )


def _scaled(raw: AnyArray) -> int | None:
    """The first sample of a batch that holds fractions within -1..1 alone; of -1, 0 and 1 a quiet clip is made."""
    rows = raw.reshape(len(raw), -1)
    small = np.flatnonzero(np.abs(rows).max(axis=1) <= SCALED)
    scaled = small[(rows[small] % 1 != 0).any(axis=1)]
    return int(scaled[0]) if len(scaled) else None


def fit(clip: AnyArray, length: int) -> AnyArray:
    """(T,) -> (length,): the middle of a longer clip, zeros behind a shorter one; of training and ``predict`` alike."""
    start = max(0, (len(clip) - length) // 2)
    fitted = np.zeros(length, clip.dtype)
    kept = clip[start : start + length]
    fitted[: len(kept)] = kept
    return fitted
