"""Which training samples an epoch sees, in which order: a function of its random numbers alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.learn.label_weights import by_class

Order = NDArray[np.int64]


def shuffled(taught: NDArray[np.bool_], rng: np.random.Generator) -> Order:
    """(N,) the samples that some loss can learn from, each once, or again and again where they are not all.

    Args:
        taught: (N,) which these are.
    """
    some = np.flatnonzero(taught)
    return np.concatenate([rng.permutation(some) for _ in range(-(-len(taught) // len(some)))])[: len(taught)]


def grouped(taught: NDArray[np.bool_], groups: NDArray[np.int64], rng: np.random.Generator) -> Order:
    """(N,) as ``shuffled``, the samples of a group one after the other; those of the smallest groups come last, so that
    pairs begin at even places.

    Args:
        groups: (N,) a number for each, from 0.
    """
    sizes = np.bincount(groups)
    wanted = np.isin(groups, groups[taught])
    rounds = []
    for _ in range(-(-len(taught) // int(wanted.sum()))):
        place = rng.permutation(len(sizes)) - len(sizes) * sizes
        order = np.argsort(place[groups], kind="stable")
        rounds.append(order[wanted[order]])
    return np.concatenate(rounds)[: len(taught)]


def balanced(labels: NDArray[np.int64], taught: NDArray[np.bool_], rng: np.random.Generator) -> Order:
    """(N,) every class as often as another one; of a class the samples as often as each other, within one.

    Classes are counted among the samples that come. Those without a label come as often as without balance. Of several
    heads a sample comes as often as on average over them. Drawn systematically: a class of a single head has its share
    within one, too.

    Args:
        labels: (N,), or (N, H) for several heads, -1 where not told.
        taught: (N,) the samples that some loss can learn from; the others are left out.
    """
    count = len(labels)
    counted = np.where(taught[:, None], labels.reshape(count, -1), -1)
    wanted = by_class(counted, "balanced")
    wanted[counted < 0] = 1
    order = rng.permutation(count)
    order = order[np.argsort(_first(labels)[order], kind="stable")]
    ends = np.cumsum((wanted.mean(axis=1) * taught)[order])
    ends *= count / ends[-1]
    ends[-1] = count
    return rng.permutation(order[np.searchsorted(ends, np.arange(count) + rng.random(), side="right")])


def _first(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the labels of the first head."""
    return labels.reshape(len(labels), -1)[:, 0]
