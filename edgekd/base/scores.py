"""Scores of classes in numpy: shares, their logarithms, how clear an answer is, and how far
two are apart. All in float64 but ``lead``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Array = NDArray[np.float64]
ROWS = 1024  # samples at once: scores of many items are large
NARROW = 0.01  # of the largest number: what is nearly the same for every sample has no range of its own


def softmax(scores: AnyArray) -> Array:
    """Shares of (..., C) scores, over the last axis."""
    weights = np.exp(_shifted(scores))
    return weights / weights.sum(axis=-1, keepdims=True)


def log_softmax(scores: AnyArray) -> Array:
    """The logarithm of the shares of (..., C) scores."""
    shifted = _shifted(scores)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def parts(total: int) -> Iterator[slice]:
    """Of so many samples so many at once that their scores in float64 are not large."""
    return (slice(start, start + ROWS) for start in range(0, total, ROWS))


def divergence(one: AnyArray, other: AnyArray) -> Array:
    """(N,) Jensen-Shannon divergence of two nets' answers, in bits: 0 for the same, 1 where nothing is shared.

    JS(p, q) = ( KL(p || m) + KL(q || m) ) / 2 with m = (p + q) / 2 (Lin 1991, doi:10.1109/18.61115).

    Args:
        one, other: (N, K) scores.
    """
    bits = np.empty(len(one))
    for part in parts(len(one)):
        log_p, log_q = log_softmax(one[part]), log_softmax(other[part])
        log_m = np.logaddexp(log_p, log_q) - np.log(2)
        nats = np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m)
        bits[part] = nats.sum(axis=1) / (2 * np.log(2))
    return np.clip(bits, 0.0, 1.0)


def answered(scores: AnyArray) -> NDArray[np.bool_]:
    """(N,) where (N, K) scores are a teacher's answer; where it gave none they are NaN."""
    return np.asarray(~np.isnan(scores).any(axis=1))


def lead(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) how far the best of (N, K) scores lies above the second; of one score alone its size."""
    best = np.sort(scores, axis=1)
    apart: NDArray[np.float32] = best[:, -1] - best[:, -2] if scores.shape[1] > 1 else np.abs(best[:, -1])
    return apart


def span(scores: AnyArray, *, by_column: bool = False) -> Array:
    """The range of scores, of which a tolerance is a share: () of all, or (K,) of each column of (N, K).

    At least ``NARROW`` of the largest number: one rounding of a float32 is a share of that, however near to each other
    the numbers are; of the usual tolerance of 1e-3 that leaves 1e-5.
    """
    axis = 0 if by_column else None
    low, high = (end(scores, axis=axis).astype(np.float64) for end in (np.min, np.max))  # may be beyond float32
    return np.maximum(high - low, NARROW * np.maximum(np.abs(low), np.abs(high)))


def _shifted(scores: AnyArray) -> Array:
    return scores.astype(np.float64) - scores.max(axis=-1, keepdims=True).astype(np.float64)
