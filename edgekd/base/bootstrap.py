"""The bootstrap: how sure a metric's value is, from resamples of the samples that it was taken over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST, MOST = 200, 1000  # resamples
COPIED = 2 * 10**8  # values that all resamples of one bootstrap may copy


def draws(samples: int, values: int = 1, seed: int = 0) -> list[NDArray[np.int64]]:
    """Resamples with replacement: 1,000, or fewer where a sample has many values to copy."""
    count = min(MOST, max(FEWEST, COPIED // max(samples * values, 1)))
    rng = np.random.default_rng(seed)
    return [rng.integers(0, samples, samples) for _ in range(count)]


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of a bootstrap: its percentiles (Efron and Tibshirani 1993, chapter 13)."""
    low, high = np.percentile(np.asarray(values), [2.5, 97.5])
    return float(low), float(high)
