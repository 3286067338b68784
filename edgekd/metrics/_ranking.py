"""The rank of the label among all items, or among what a user does not know yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.metrics._base import Labels, Scores


def ranks(scores: Scores, labels: Labels, users: AnyArray | None = None) -> NDArray[np.int64]:
    """(N,) how many scores are higher than the label's, 0 for the best; of equal scores the label comes last.

    Args:
        users: (N, 1 + K) whole numbers, a user and what it knows: those items are taken out of the ranking, unless one
            is the label. Numbers that are no item (padding) don't count.

    Raises:
        RecipeError: they are none.
    """
    rows = np.arange(len(scores))
    label_scores = scores[rows, labels]
    higher = scores >= label_scores[:, None]
    if users is not None:
        if users.ndim != 2 or users.dtype.kind not in "iu":
            given, allowed = f"samples of {users.dtype} {users.shape[1:]}", "a user and its history, whole numbers"
            raise RecipeError("no history to leave out", where="metric.leave_seen", found=given, allowed=allowed)
        known = users[:, 1:]
        row, column = np.nonzero((known >= 0) & (known < scores.shape[1]))
        higher[row, known[row, column]] = False
    higher[rows, labels] = False
    return higher.sum(axis=1).astype(np.int64)
