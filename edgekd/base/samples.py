"""Raw samples as an app brings them: numbers like those of the training, and clips of the length that is heard."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.errors import UsageError

LARGEST = float(np.finfo(np.float32).max)
SCALED, NORMALISED = (
    1.0,
    5.0,
)  # what pictures that are divided by 255, or brought to mean 0 and deviation 1, stay within


def check_numbers(raw: NDArray[Any], dtype: str, where: str = "predict") -> None:
    """Hold raw samples against what a student's raw samples are.

    Args:
        raw: numbers of any shape.
        dtype: of the raw samples of the training, such as ``uint8``; "" where it is not known.

    Raises:
        UsageError: NaN or Inf, or more than float32 holds; for a student of uint8 also what was scaled or normalised:
            floats that are not all 0, within -1..1, or within -5..5 with negative ones.
    """
    if raw.dtype.kind != "f" or not raw.size:
        return
    low, high = float(raw.min()), float(raw.max())  # NaN where there is one
    if not -LARGEST <= low <= high <= LARGEST:
        bad = raw[~(np.abs(raw) <= LARGEST)][0]
        raise UsageError("not finite numbers", where=where, found=float(bad), allowed="numbers that float32 holds")
    top = max(-low, high)
    if dtype == "uint8" and (0 < top <= SCALED or (low < 0 and top <= NORMALISED)):
        raise UsageError(
            f"{'scaled' if low >= 0 else 'normalised'} already: the preprocessing is part of the student",
            where=where,
            found=f"{raw.dtype} from {low:.3g} to {high:.3g}",
            allowed="raw uint8 samples, such as pixels from 0 to 255",
            hint="give them as they were read, or (x * 255).round().astype('uint8') of what was divided by 255",
        )


def fit(clip: NDArray[Any], length: int) -> NDArray[Any]:
    """(T,) -> (length,): the middle of a longer clip, zeros behind a shorter one; of training and ``predict`` alike."""
    start = max(0, (len(clip) - length) // 2)
    made = np.zeros(length, clip.dtype)
    kept = clip[start : start + length]
    made[: len(kept)] = kept
    return made
