"""From which score on a label applies: the threshold with the best F1 on validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Floats = NDArray[np.float64]
BOUND = 16.0  # of a threshold as a logit: a probability of 1 - 1e-7 still tells float32 logits apart


def best(scores: Floats, labels: NDArray[np.int64]) -> float:
    """The threshold of one label, as a logit: it applies where ``score >= threshold``.

    It maximises F1 = 2 TP / (2 TP + FP + FN) over the samples whose label is known. Between two scores it stands in the
    middle, so that rounding decides nothing; of several that are as good the one nearest to 0 is taken, and 0 itself
    where it is among them. A label that is absent or always present tells nothing, and keeps 0.

    Args:
        scores: (N,) logits; labels: (N,) 1 where it applies, 0 where not, -1 where nobody knows.

    Returns:
        Within +-``BOUND``.
    """
    known = labels >= 0
    order = np.argsort(-scores[known], kind="stable")
    falling, hits = scores[known][order], labels[known][order] == 1
    positives = int(hits.sum())
    if positives in (0, len(hits)):
        return 0.0
    last = np.flatnonzero(np.append(np.diff(falling) != 0, True))  # of each run of equal scores: all or none apply
    f1 = 2 * np.cumsum(hits)[last] / (last + 1 + positives)
    low = falling[last]  # the lowest score that applies, and the one below that does not
    below = np.append(low[1:], -np.inf)
    middle = np.where(np.isfinite(below), (low + below) / 2, low)
    cuts = np.clip(np.where((below < 0) & (low >= 0), 0.0, middle), -BOUND, BOUND)
    winners = cuts[f1 >= f1.max() - 1e-12]
    return float(winners[np.lexsort((winners, np.abs(winners)))[0]])


def of_columns(scores: AnyArray, labels: AnyArray) -> list[float]:
    """``best`` of each of K labels: (N, K) logits, and (N, K) labels."""
    return [best(*column) for column in zip(scores.T.astype(np.float64), labels.T, strict=True)]
