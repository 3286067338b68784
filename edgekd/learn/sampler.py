"""Which training samples an epoch sees, in which order: a function of its random numbers alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.learn.label_weights import by_class

Order = NDArray[np.int64]


def shuffled(labels: NDArray[np.int64] | None, count: int, rng: np.random.Generator) -> Order:
    """(count,) every sample once; with ``labels`` only those that have one, again and again.

    Args:
        labels: (N,), or (N, H) for several heads, -1 where not told; None: they do not matter.
    """
    if labels is None:
        return rng.permutation(count)
    labelled = np.flatnonzero(_first(labels) >= 0)
    return np.concatenate([rng.permutation(labelled) for _ in range(-(-count // len(labelled)))])[:count]


def balanced(labels: NDArray[np.int64], count: int, rng: np.random.Generator, *, labelled: bool) -> Order:
    """(count,) every class as often as another one; of a class the samples as often as each other, within one.

    Samples without a label come as often as without balance. Of several heads a sample comes as often as on average
    over them. Drawn systematically: a class of a single head has its share within one, too.

    Args:
        labels: (N,), or (N, H) for several heads, -1 where not told.
        labelled: take only those that have one.
    """
    wanted = by_class(labels, "balanced").reshape(len(labels), -1)
    wanted[labels.reshape(wanted.shape) < 0] = 0 if labelled else 1
    order = rng.permutation(len(labels))
    order = order[np.argsort(_first(labels)[order], kind="stable")]
    ends = np.cumsum(wanted.mean(axis=1)[order])
    ends *= count / ends[-1]
    ends[-1] = count
    return rng.permutation(order[np.searchsorted(ends, np.arange(count) + rng.random(), side="right")])


def _first(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the labels of the first head."""
    return labels.reshape(len(labels), -1)[:, 0]
