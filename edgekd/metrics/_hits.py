"""Areas under curves over all thresholds, exact, of as many scores as the pixels of a split are.

Only scores of hits are thresholds at which something of either curve changes hands, and of pixels few are hits. So the
others are sorted by value, once, and asked how many of them lie below each hit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._columns import Column

EDGES = 1024


class Ranked(NamedTuple):
    """The different scores of hits, falling.

    Attributes:
        hits: how many hits have each.
        above, equal: how many others score more than it, and as much.
        others: how many there are.
    """

    hits: NDArray[np.int64]
    above: NDArray[np.int64]
    equal: NDArray[np.int64]
    others: int


def ranked(scores: Column, labels: Column) -> Ranked:
    """Of (n,) scores and (n,) labels, 1 of a hit, else 0."""
    is_hit = labels > 0
    values, hits = np.unique(scores[is_hit], return_counts=True)
    others = np.sort(scores[~is_hit])
    below, up_to = others.searchsorted(values, "left"), others.searchsorted(values, "right")
    return Ranked(hits[::-1], (len(others) - up_to)[::-1], (up_to - below)[::-1], len(others))


def area_under_roc(scores: Column, labels: Column) -> float | None:
    """The chance that a hit scores more than another, ties half (Mann and Whitney 1947, doi:10.1214/aoms/1177730491);
    None of one kind alone.
    """
    of = ranked(scores, labels)
    total = int(of.hits.sum())
    if not total or not of.others:
        return None
    lost = (of.hits * (2 * of.above + of.equal)).sum()  # twice the pairs that are not won: whole numbers
    return float(1 - lost / (2 * total * of.others))


def area_under_precision(scores: Column, labels: Column) -> float | None:
    """sum over thresholds of  (R_k - R_k-1) P_k  (Manning et al. 2008, Introduction to Information Retrieval, chapter
    8.4); None without a hit.
    """
    of = ranked(scores, labels)
    if not len(of.hits):
        return None
    right = np.cumsum(of.hits)
    precision = right / (right + of.above + of.equal)
    return float((of.hits * precision).sum() / right[-1])


def area_of_resamples(scores: AnyArray, labels: AnyArray, nothing: float) -> Callable[[NDArray[np.int64]], float]:
    """The area under the ROC curve of resamples, from how many places of each sample lie between ``EDGES`` scores.

    Each edge is a score that there is, with as many places between it and the next one; what equals an edge is counted
    by itself. Only between two edges scores count as equal that are not, and the area is off by at most 1 / (2 EDGES)
    over the share of the places that are no hits: 0.0005 where hits are rare. A resample is then a sum of as many
    counts as there are edges, twice, a sample, whatever the number of places, and nothing is sorted anew.

    Args:
        scores, labels: (N, P) of N samples, 1 of a hit, 0 of another, -1 where nobody knows.
        nothing: what is said of one kind alone.

    Returns:
        Of (M,) numbers of samples the area.
    """
    rising = np.sort(scores[labels >= 0])
    if not len(rising):
        return lambda index: nothing
    edges = np.unique(rising[np.arange(1, EDGES) * len(rising) // EDGES])
    counts = np.zeros((2, len(scores), 2 * len(edges) + 1), np.float32)
    for i, (row, of) in enumerate(zip(scores, labels, strict=True)):
        places = edges.searchsorted(row, "left") + edges.searchsorted(row, "right")
        for kind in (0, 1):
            counts[kind, i] = np.bincount(places[of == kind], minlength=counts.shape[2])

    def area(index: NDArray[np.int64]) -> float:
        drawn = np.bincount(index, minlength=len(scores)).astype(np.float32)  # as the counts are: these are not copied
        others, hits = ((drawn @ of_kind).astype(np.float64) for of_kind in counts)
        pairs = others.sum() * hits.sum()
        return float((hits * (others.cumsum() - others / 2)).sum() / pairs) if pairs else nothing

    return area
