"""The rank of the label among what a user does not know yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Labels, Scores


def ranks(scores: Scores, labels: Labels, raw: AnyArray) -> NDArray[np.int64]:
    """(N,) how many scores are higher than the label's, 0 for the best.

    Raw samples of whole numbers, (N, 1 + K), are a user and what it knows: those items are taken out of the ranking,
    unless one is the label. Numbers that are no item (padding) don't count. Of equal scores the label comes last.
    """
    rows = np.arange(len(scores))
    label_scores = scores[rows, labels]
    higher = scores >= label_scores[:, None]
    if raw.ndim == 2 and raw.dtype.kind in "iu":
        known = raw[:, 1:]
        row, column = np.nonzero((known >= 0) & (known < scores.shape[1]))
        higher[row, known[row, column]] = False
    higher[rows, labels] = False
    return higher.sum(axis=1).astype(np.int64)
