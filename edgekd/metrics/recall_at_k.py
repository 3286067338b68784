"""Retrieval: whether a sample's vector finds the one that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, PerSample, Scores
from edgekd.tasks import pairs_of, unit_vectors

ROWS = 256  # queries at once: their cosines with every other sample


@dataclass(frozen=True)
class RecallAtK(PerSample):
    """The share of the samples of pairs that belong together to which the partner is among the k nearest, by cosine.

    Searched among all samples of the split, equal ones only once, and not among those equal to the sample itself
    (recall at k with one relevant document, Manning et al. 2008, ISBN 0521865719, section 8.4). Of equal cosines the
    one that is looked for comes last. Without a pair that belongs together 0.

    Attributes:
        k: 1 to 1000.
        positive: the score from which on a pair belongs together, 0 to 1, as the task holds scores.
    """

    share: ClassVar[bool] = True
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "labels"
    vectors: ClassVar[bool] = True
    partly: ClassVar[bool] = True  # a resample of whom is asked for leaves all others to be found
    k: int = 10
    positive: float = 0.75

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 1000:
            raise ValueError("k: allowed is 1 to 1000")
        if not 0 <= self.positive <= 1:
            raise ValueError("positive: allowed is 0 to 1")

    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``: 1 where the partner is found, 0 where not, NaN of who has none; wanted: (N, 2) of pairs
        and their scores, 0..1.
        """
        first, second, alike = pairs_of(wanted)
        same = _same(raw)
        sought = (alike >= self.positive) & (same[first] != same[second])
        hits = np.full(len(scores), np.nan)
        queries = np.concatenate([first[sought], second[sought]])
        targets = np.concatenate([second[sought], first[sought]])
        _, once = np.unique(same, return_index=True)
        vectors = unit_vectors(scores)
        for start in range(0, len(queries), ROWS):
            query, target = queries[start : start + ROWS], targets[start : start + ROWS]
            cosines = vectors[query] @ vectors[once].T
            # The sample itself is no find, and of the one that is looked for there is one place.
            cosines[np.arange(len(query)), same[query]] = -np.inf
            partner = cosines[np.arange(len(query)), same[target]]
            hits[query] = (cosines >= partner[:, None]).sum(axis=1) <= self.k
        return hits


def _same(raw: AnyArray) -> NDArray[np.int64]:
    """(N,) a number that equal samples share, from 0."""
    samples = np.asarray(raw)
    rows = samples.reshape(len(samples), -1)
    texts = rows[:, 0].astype(str) if rows.dtype.kind in "OU" else rows
    return np.asarray(np.unique(texts, axis=0, return_inverse=True)[1], np.int64).reshape(-1)
