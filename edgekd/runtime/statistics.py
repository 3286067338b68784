"""What may be said of a percentile with so many samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.99
APART = 0.15  # of the smaller of two medians


def early_stopping(samples: NDArray[np.int64], percentile: float, confidence: float = CONFIDENCE) -> float | None:
    """A percentile's upper bound as MLPerf's load generator gives it for one stream (early stopping, d = 0).

    With t the largest number for which at most t of n queries lie above the true percentile p with a probability of no
    more than 1 - confidence (binomial), the estimate is the t-th largest sample. 64 queries are the least for p90, 662
    for p99.

    Args:
        samples: any unit; at least one.
        percentile: 0..1, without the ends.

    Returns:
        In the unit of the samples; None where there are too few.
    """
    t = tolerated(len(samples), percentile, confidence)
    return float(np.sort(samples)[len(samples) - t]) if t else None


def tolerated(count: int, percentile: float, confidence: float = CONFIDENCE) -> int:
    """The t of ``early_stopping``; 0 where there are too few queries."""
    above = 1 - percentile
    total, t = 0.0, -1
    while t < count:
        k = t + 1
        log = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        total += math.exp(log + k * math.log(above) + (count - k) * math.log(percentile))
        if total > 1 - confidence:
            break
        t = k
    return max(t, 0)


def far_apart(p50s: Sequence[float]) -> bool:
    """Whether medians of one thing, found at several times, differ by more than 15 %: then each is told."""
    return max(p50s) > (1 + APART) * min(p50s)
