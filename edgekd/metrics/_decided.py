"""Which labels apply to a sample, and which a student says do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Hits = NDArray[np.int64]


def decided(scores: AnyArray, wanted: AnyArray) -> tuple[Hits, Hits]:
    """(N, C) of 1 where a label is said to apply, 0 where not, -1 where nobody knows; and the same of what is right.

    Args:
        scores: (N, C) logits: of rows of labels those at 0 or above apply, of one label the largest does.
        wanted: (N, C) of 0 and 1, -1 where not known; or (N,) in 0..C-1.
    """
    if wanted.ndim == 1:
        places = np.arange(scores.shape[1])
        return (scores.argmax(1)[:, None] == places).astype(np.int64), (wanted[:, None] == places).astype(np.int64)
    return np.where(wanted < 0, -1, scores >= 0), wanted.astype(np.int64)


def f1(applies: Hits, is_right: Hits) -> NDArray[np.float64]:
    """(C,) 2 TP / (2 TP + FP + FN) of each column; NaN of one that neither applies nor is said to."""
    hits = ((applies == 1) & (is_right == 1)).sum(axis=0)
    wrong = ((applies == 1) & (is_right == 0)).sum(axis=0) + ((applies == 0) & (is_right == 1)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return 2 * hits / (2 * hits + wrong)
