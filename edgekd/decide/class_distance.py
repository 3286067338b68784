"""The parameters of ``distance``, one of the scores by which answers are told to be sure: see ``tasks.ClassDistance``.

They need no label: a sample's class is the one that the student answers. Of the scores that a student gives, those of
its last layer are a linear map, so that nothing is added to the network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.document.thresholds import Distance

Floats = NDArray[np.float64]
MOST = 64  # classes: two of their squares are written into the manifest and every program, 8,000 numbers
# Of the mean variance within classes, that is added to each direction: some hundred samples tell few directions well.
SHRINKAGE = 0.1
DIGITS = 7  # of each number that is written down; all programs compute with the same


def fitted(scores: Floats, classes: NDArray[np.int64]) -> Distance | None:
    """The means of the classes and one covariance within all of them, as linear discriminants (Fisher 1936).

    Args:
        scores: (N, K).
        classes: (N,) 0..K-1, what the student answers.

    Returns:
        None where no distance can be told: fewer than two classes are answered, more than 64 are known, there are
        fewer than two samples for each class that is answered, or the scores of each class are all alike.
    """
    numbers, member, counts = np.unique(classes, return_inverse=True, return_counts=True)
    size = scores.shape[1]
    if not len(numbers) >= 2 or size > MOST or len(scores) < 2 * len(numbers):
        return None
    shift = scores.mean(axis=0)
    means = np.stack([scores[member == i].mean(axis=0) for i in range(len(numbers))]) - shift
    inner = scores - shift - means[member]
    within = inner.T @ inner / len(scores)
    spread = float(np.trace(within)) / size
    if spread <= 1e-12 * max(float(np.square(scores).mean()), 1e-12):
        return None
    whitener = np.linalg.inv(np.linalg.cholesky(within + SHRINKAGE * spread * np.eye(size)))
    white = means @ whitener.T
    between, directions = np.linalg.eigh((white * (counts / len(scores))[:, None]).T @ white)
    order = np.argsort(-between)[: len(numbers) - 1]
    axes = directions[:, order].T @ whitener
    weights = 1 / (1 + np.maximum(between[order], 0.0))
    return {
        "shift": _written(shift),
        "axes": [_written(row) for row in axes],
        "means": [_written(row) for row in means @ axes.T],
        "weights": _written(weights),
    }


def _written(row: Floats) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in row]
