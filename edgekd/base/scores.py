"""Scores of classes in numpy: shares, their logarithms, and how clear an answer is. All in float64 but ``lead``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Array = NDArray[np.float64]


def softmax(scores: AnyArray) -> Array:
    """Shares of (..., C) scores, over the last axis."""
    weights = np.exp(_shifted(scores))
    return weights / weights.sum(axis=-1, keepdims=True)


def log_softmax(scores: AnyArray) -> Array:
    """The logarithm of the shares of (..., C) scores."""
    shifted = _shifted(scores)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def answered(scores: AnyArray) -> NDArray[np.bool_]:
    """(N,) where (N, C) scores are a teacher's answer; where it gave none they are NaN."""
    return np.asarray(~np.isnan(scores).any(axis=1))


def lead(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) how far the best of (N, C) scores lies above the second; of one score alone its size."""
    best = np.sort(scores, axis=1)
    apart: NDArray[np.float32] = best[:, -1] - best[:, -2] if scores.shape[1] > 1 else np.abs(best[:, -1])
    return apart


def _shifted(scores: AnyArray) -> Array:
    return scores.astype(np.float64) - scores.max(axis=-1, keepdims=True).astype(np.float64)
