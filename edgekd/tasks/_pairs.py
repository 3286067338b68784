"""Labels that say which two samples make a pair, and how alike they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks import _rows
from edgekd.tasks._classes import At

Index = NDArray[np.int64]


class Pairs(NamedTuple):
    """(P,) the numbers of each pair's first and second sample, and its score, 0..1."""

    first: Index
    second: Index
    scores: NDArray[np.float64]


def pairs_of(labels: AnyArray) -> Pairs:
    """The pairs of (N, 2) labels [pair, score] whose score is known, by number.

    A pair that is drawn several times, as in a bootstrap, counts as often; one that lacks a sample does not.
    """
    known = np.flatnonzero(~np.isnan(labels).any(axis=1))
    known = known[np.argsort(labels[known, 0], kind="stable")]
    _, member, counts = np.unique(labels[known, 0], return_inverse=True, return_counts=True)
    whole = known[counts[member] % 2 == 0]
    first, second = whole[::2], whole[1::2]
    return Pairs(first, second, labels[first, 1].astype(np.float64))


def first_alone(pairs: AnyArray) -> int | None:
    """The first of (N,) samples whose pair has not just two samples; NaN: it is of none."""
    numbers, member, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    wrong = (counts[member] != 2) & ~np.isnan(numbers[member])
    return int(np.flatnonzero(wrong)[0]) if wrong.any() else None


def of_split(labels: AnyArray, span: tuple[float, float], split: str, at: At) -> NDArray[np.float32]:
    """(N, 2) of pairs, counted from 0, and scores, 0..1, of labels as they come.

    Args:
        labels: (N, 2) numbers or texts of pair and score; or (N,) pairs, whose samples belong together.
        span: the least and the largest score as they come.

    Raises:
        DataError: no number, a score outside of the span, a pair of one sample or of three, or of two scores; names
            the sample.
    """
    table = _rows.doubles(labels, split, at)
    if table.shape[1] == 1:
        table = np.concatenate([table, np.where(np.isnan(table), np.nan, span[1])], axis=1)
    if table.shape[1] != 2:
        allowed = "[pair, score], or the pair alone"
        raise DataError("not the labels of pairs", where=at(split, 0), found=labels.shape, allowed=allowed)
    pair, score = table.T
    low, high = span
    if (bad := _first((score < low) | (score > high))) is not None:
        allowed = f"{low:g} to {high:g}: task.scores says which"
        raise DataError("a score out of range", where=at(split, bad), found=float(score[bad]), allowed=allowed)
    if (alone := first_alone(pair)) is not None:
        count = f"{int((pair == pair[alone]).sum())} of pair {pair[alone]:g}"
        raise DataError("a pair has two samples", where=at(split, alone), found=count, allowed="2")
    known = np.flatnonzero(~np.isnan(pair))
    rows = np.full((len(pair), 2), np.nan)
    rows[known, 0] = np.unique(pair[known], return_inverse=True)[1]
    rows[known, 1] = (score[known] - low) / (high - low)
    partners = known[np.argsort(rows[known, 0], kind="stable")].reshape(-1, 2)
    one, other = rows[partners, 1].T
    if (bad := _first((one != other) & ~(np.isnan(one) & np.isnan(other)))) is not None:
        both = " and ".join(f"{score[sample]:g}" for sample in partners[bad])
        where = at(split, int(partners[bad, 1]))
        raise DataError("a pair of two scores", where=where, found=both, allowed="the same of both samples")
    return rows.astype(np.float32)


def _first(hits: AnyArray) -> int | None:
    return int(np.flatnonzero(hits)[0]) if hits.any() else None
