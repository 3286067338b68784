"""Labels that say which samples make a pair or a triplet, and how alike they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks import _rows
from edgekd.tasks._classes import At

Index = NDArray[np.int64]
ANCHOR, POSITIVE, NEGATIVE = 2, 3, 4  # what stands in the place of a score, 0..1, of the samples of a triplet
TRIPLET_ROLES: Mapping[str, int] = {"anchor": ANCHOR, "positive": POSITIVE, "negative": NEGATIVE}

SCORES = (
    "a score is no pair: its two samples stand below each other in one input, and the label of both is [pair, score]"
)


class Pairs(NamedTuple):
    """(P,) the numbers of each pair's first and second sample, and its score, 0..1."""

    first: Index
    second: Index
    scores: NDArray[np.float64]


class Triplets(NamedTuple):
    """(T,) the numbers of each triplet's samples."""

    anchor: Index
    positive: Index
    negative: Index


def pairs_of(labels: AnyArray) -> Pairs:
    """The pairs of (N, 2) labels [pair, score] whose score is known, by number; behind them those of triplets: an
    anchor with its positive, of score 1, and with each of its negatives, of score 0.

    A pair that is drawn several times, as in a bootstrap, counts as often; one that lacks a sample does not.
    """
    known = np.flatnonzero(labels[:, 1] <= 1)  # no NaN, and no role
    known = known[np.argsort(labels[known, 0], kind="stable")]
    _, member, counts = np.unique(labels[known, 0], return_inverse=True, return_counts=True)
    whole = known[counts[member] % 2 == 0]
    others = np.flatnonzero(labels[:, 1] > ANCHOR)
    anchors = _in_role(labels, ANCHOR, others)
    others, anchors = others[anchors >= 0], anchors[anchors >= 0]
    scores = np.concatenate([labels[whole[::2], 1], labels[others, 1] == POSITIVE]).astype(np.float64)
    return Pairs(np.concatenate([whole[::2], anchors]), np.concatenate([whole[1::2], others]), scores)


def triplets_of(labels: AnyArray) -> Triplets:
    """The triplets of (N, 2) labels [triplet, role], one for each negative, in their order; what is drawn several times
    counts as often, what lacks a sample does not.
    """
    negatives = np.flatnonzero(labels[:, 1] == NEGATIVE)
    anchors, positives = (_in_role(labels, role, negatives) for role in (ANCHOR, POSITIVE))
    whole = (anchors >= 0) & (positives >= 0)
    return Triplets(anchors[whole], positives[whole], negatives[whole])


def _in_role(labels: AnyArray, role: int, others: Index) -> Index:
    """(len(others),) the sample that has a role in the triplet of each of some others; -1: none has."""
    samples = np.flatnonzero(labels[:, 1] == role)
    triplets, first = np.unique(labels[samples, 0], return_index=True)
    wanted = labels[others, 0]
    there = np.isin(wanted, triplets)
    in_role = np.full(len(others), -1, np.int64)
    in_role[there] = samples[first[np.searchsorted(triplets, wanted[there])]]
    return in_role


def first_broken(labels: AnyArray) -> int | None:
    """The first sample of (N, 2) labels that is neither of a pair, two samples of one number, nor of a triplet, an
    anchor, a positive and one negative or several; None: there is none. A sample with NaN is of nothing.
    """
    known = np.flatnonzero(~np.isnan(labels[:, 0]))
    member = np.unique(labels[known, 0], return_inverse=True)[1].reshape(-1)
    roles, groups = labels[known, 1], len(known)
    anchors, positives, negatives = (
        np.bincount(member[roles == role], minlength=groups) for role in (ANCHOR, POSITIVE, NEGATIVE)
    )
    total = np.bincount(member, minlength=groups)
    are_triplets = (anchors == 1) & (positives == 1) & (negatives > 0) & (total == 2 + negatives)
    are_pairs = (total == 2) & (anchors + positives + negatives == 0)
    broken = known[~(are_triplets | are_pairs)[member]]
    return int(broken[0]) if len(broken) else None


def of_split(labels: AnyArray, span: tuple[float, float], split: str, at: At) -> NDArray[np.float32]:
    """(N, 2) of pairs, counted from 0, and scores, 0..1, or roles, of labels as they come.

    Args:
        labels: (N, 2) numbers or texts of pair and score; or (N,) pairs, whose samples belong together; or (N, 2) of a
            triplet's number and one of ``TRIPLET_ROLES``.
        span: the least and the largest score as they come.

    Raises:
        DataError: no number, a score outside of the span, a pair of one sample or of three, or of two scores, a triplet
            that lacks a sample; names the sample.
    """
    if labels.dtype.kind == "O" and all(isinstance(row, list | tuple) and len(row) == 2 for row in labels.tolist()):
        labels = np.array(labels.tolist(), object)
    if labels.ndim == 2 and labels.shape[1] == 2 and np.isin(_words(labels[:, 1]), [*TRIPLET_ROLES]).any():
        return _of_triplets(labels, split, at)
    table = _rows.doubles(labels, split, at)
    if table.shape[1] == 1:
        table = np.concatenate([table, np.where(np.isnan(table), np.nan, span[1])], axis=1)
    if table.shape[1] != 2:
        allowed = "[pair, score], or the pair alone; or [triplet, role]"
        raise DataError("not the labels of pairs", where=at(split, 0), found=labels.shape, allowed=allowed)
    pair, score = table.T
    low, high = span
    if (bad := _first((score < low) | (score > high))) is not None:
        allowed = f"{low:g} to {high:g}: task.scores says which"
        raise DataError("a score out of range", where=at(split, bad), found=float(score[bad]), allowed=allowed)
    rows = np.stack([pair, (score - low) / (high - low)], axis=1)
    rows[np.isnan(pair)] = np.nan
    if (alone := first_broken(rows)) is not None:
        count = f"{int((pair == pair[alone]).sum())} of pair {pair[alone]:g}"
        numbers = pair[~np.isnan(pair)]
        hint = None if (numbers == np.rint(numbers)).all() else SCORES
        raise DataError("a pair has two samples", where=at(split, alone), found=count, allowed="2", hint=hint)
    known = np.flatnonzero(~np.isnan(pair))
    rows[known, 0] = np.unique(pair[known], return_inverse=True)[1]
    partners = known[np.argsort(rows[known, 0], kind="stable")].reshape(-1, 2)
    one, other = rows[partners, 1].T
    if (bad := _first((one != other) & ~(np.isnan(one) & np.isnan(other)))) is not None:
        both = " and ".join(f"{score[sample]:g}" for sample in partners[bad])
        where = at(split, int(partners[bad, 1]))
        raise DataError("a pair of two scores", where=where, found=both, allowed="the same of both samples")
    return rows.astype(np.float32)


def _of_triplets(labels: AnyArray, split: str, at: At) -> NDArray[np.float32]:
    """See ``of_split``: of (N, 2) triplets and roles."""
    triplet, words = _rows.doubles(labels[:, :1], split, at)[:, 0], _words(labels[:, 1])
    known = np.flatnonzero(~np.isnan(triplet))
    if (bad := _first(~np.isin(words[known], [*TRIPLET_ROLES]))) is not None:
        place, word = at(split, int(known[bad])), str(words[known[bad]])
        raise DataError("no role in a triplet", where=place, found=word, allowed=[*TRIPLET_ROLES])
    rows = np.full((len(triplet), 2), np.nan)
    rows[known, 0] = triplet[known]
    rows[known, 1] = [TRIPLET_ROLES[word] for word in words[known].tolist()]
    if (broken := first_broken(rows)) is not None:
        roles = words[triplet == triplet[broken]].tolist()
        counts = f"{', '.join(f'{roles.count(word)} {word}' for word in TRIPLET_ROLES)} of triplet {triplet[broken]:g}"
        what, allowed = "a triplet that lacks a sample, or has one too many", "1 anchor, 1 positive, 1 negative or more"
        raise DataError(what, where=at(split, broken), found=counts, allowed=allowed)
    rows[known, 0] = np.unique(triplet[known], return_inverse=True)[1]
    return rows.astype(np.float32)


def _words(cells: AnyArray) -> NDArray[np.str_]:
    """(N,) texts, of whatever; of numbers none."""
    if cells.dtype.kind not in "USO":
        return np.full(len(cells), "")
    texts = [cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell) for cell in cells.tolist()]
    return np.array(texts, np.str_)


def _first(hits: AnyArray) -> int | None:
    return int(np.flatnonzero(hits)[0]) if hits.any() else None
