"""Which labels apply to a sample, and which a student says do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Counts = NDArray[np.int64]
PLACES = 2**18  # that are looked at together: of 20 classes 20 MiB


def counted(scores: AnyArray, wanted: AnyArray) -> tuple[Counts, Counts]:
    """(C,) TP, how often each column rightly applies, and (C,) FP + FN, how often it does where it should not or does
    not where it should.

    Args:
        scores: (N, C) logits: of rows of labels those at 0 or above apply, of one label the largest does.
        wanted: (N, C) of 0 and 1, -1 where not known; or (N,) in 0..C-1.
    """
    if wanted.ndim == 1:
        hits, wrong = np.zeros((2, scores.shape[1]), np.int64)
        for answered, right in _answers(scores, wanted):
            hits += np.bincount(right[right == answered], minlength=len(hits))
            for of in (answered, right):
                wrong += np.bincount(of[right != answered], minlength=len(hits))
        return hits, wrong
    applies, is_right, known = scores >= 0, wanted > 0, wanted >= 0
    return (applies & is_right & known).sum(axis=0), ((applies != is_right) & known).sum(axis=0)


def confusion(scores: AnyArray, wanted: AnyArray) -> Counts:
    """(C, C) how many places of each class, a row, are answered as each, a column.

    Args:
        scores: (N, P, C) or (N, C); wanted: (N, P) or (N,), below 0 where a place has no label.
    """
    classes = scores.shape[-1]
    counts = np.zeros(classes * classes, np.int64)
    for answered, right in _answers(scores, wanted):
        counts += np.bincount(right * classes + answered, minlength=classes * classes)
    return counts.reshape(classes, classes)


def _answers(scores: AnyArray, wanted: AnyArray) -> Iterator[tuple[Counts, Counts]]:
    """The class that is answered at each place that has a label, and that label; some samples at a time, so that beside
    the scores little is held.
    """
    step = max(1, PLACES // max(1, wanted[:1].size))
    for start in range(0, len(scores), step):
        answered, right = scores[start : start + step].argmax(-1), wanted[start : start + step]
        known = right >= 0
        yield answered[known], right[known]


def f1(hits: Counts, wrong: Counts) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN); NaN of a column that neither applies nor is said to."""
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits / (2 * hits + wrong))
