"""Vectors of samples, near where the samples mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks import _pairs, _vectors
from edgekd.tasks._base import Floats, Groups, Record, Task
from edgekd.tasks._classes import At, Numbered
from edgekd.tasks._predictions import Vector

OWN = 2  # numbers of a label: the pair and its score, or the triplet and a role


@dataclass(frozen=True)
class Embedding(Task):
    """(N, D) vectors, compared by their cosine; normalise them in the network, so that every index takes them.

    Labels are pairs: every sample stands for itself, and its label names its pair by a number, which two samples of a
    split have, and says how alike the two are: a row [pair, score]. (N,) pair numbers alone say that the two belong
    together. A sample of no pair is [NaN, NaN]. Scores are held from 0, nothing in common, to 1, the same.

    Or they are triplets: rows [triplet, role], with a number that an ``anchor``, a ``positive`` that is nearer to it,
    and a ``negative`` or several share. Roles come as these words and are held as 2, 3 and 4. To what compares pairs an
    anchor is one of score 1 with its positive, and of score 0 with each negative.

    Without labels a metric of pairs holds the student's cosines of a split's first and second sample, third and fourth,
    and so on against the teacher's.

    Attributes:
        size: D, numbers of a vector, 1 to 65536; 0: as many as ``data.classes`` names.
        scores: the score of samples that have nothing in common, and of those that mean the same, as the data has it.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "value")
    hub: ClassVar[Mapping[str, str]] = {**_vectors.HUB, "text": "sentence-similarity"}
    metrics: ClassVar[tuple[str, ...]] = ("spearman", "pearson", "recall_at_k", "triplet_accuracy", "cosine")
    losses: ClassVar[tuple[str, ...]] = (
        "cosine",
        "similarity_scores",
        "info_nce",
        "multiple_negatives",
        "labelled_triplets",
        "margin_mse",
        "squared_error",
    )
    pairs: ClassVar[bool] = True
    label_loss: ClassVar[str] = "similarity_scores"
    program: ClassVar[str] = "values"
    holds: ClassVar[str] = "a vector of {} numbers"
    prints: ClassVar[str] = "answer.values"
    limits: ClassVar[tuple[str, ...]] = (
        "Vectors are for comparing with each other: those of another model, or of another version of this one, are of "
        "another space.",
    )

    size: int = 0
    scores: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        _vectors.check_size(self.size)
        if len(self.scores) != 2 or not np.isfinite(self.scores).all() or not self.scores[0] < self.scores[1]:
            raise ValueError("scores: allowed are two numbers, of nothing in common and, above it, of the same")

    @property
    def vectors(self) -> bool:
        """See ``Task``."""
        return True

    def unlabelled(self, names: tuple[str, ...] | None, where: str, hint: str | None = None) -> Numbered:
        """See ``Task``: ``size`` numbers need no names."""
        return _vectors.unlabelled(names, self.size, where)

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: (N, 2) of pair and score, or (N,) of pairs; or (N, 2) of triplet and role."""
        known = self.unlabelled(names, where).names
        rows: dict[str, AnyArray] = {name: _pairs.of_split(of, self.scores, name, at) for name, of in labels.items()}
        return Numbered(known, rows)

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: (N, 2) floats, the samples of each pair and of each triplet in one split."""
        if labels.shape != (count, OWN) or labels.dtype.kind != "f":
            shape, allowed = f"{labels.dtype} {labels.shape}", f"a row [pair, score] a sample, ({count}, {OWN})"
            raise DataError("not the labels of pairs", where=where, found=shape, allowed=allowed)
        if (broken := _pairs.first_broken(labels)) is not None:
            what, parts, of = "a pair of another number of samples than 2", "both", "pairs"
            if labels[broken, 1] > 1:
                what, parts, of = "a triplet that lacks a sample, or has one too many", "all", "triplets"
            allowed = f"{parts} in one split: where validation or test is carved off, groups names what holds the {of}"
            raise DataError(what, where=where, found=f"sample {broken}", allowed=allowed)

    def check_learned(
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """See ``Task``: there are two pairs at least."""
        if (count := len(_pairs.pairs_of(labels["train"])[0])) < 2:
            raise DataError(
                "too few pairs to learn from", where=where, found=count, allowed="at least two with a score"
            )

    def suited(self, labels: AnyArray | None) -> tuple[str, str]:
        """See ``Task``: of triplets, and of pairs that all belong together, the loss looks for a sample's partner in a
        batch: where no score is below 1, one on scores would make one vector of all.
        """
        if labels is None:
            return super().suited(labels)
        if len(_pairs.triplets_of(labels).anchor):
            return "multiple_negatives", "triplet_accuracy"
        scores = _pairs.pairs_of(labels).scores
        return super().suited(labels) if (scores < 1).any() else ("multiple_negatives", "recall_at_k")

    def label_size(self, shape: tuple[int, ...]) -> int:
        """See ``Task``: the pair and its score, or the triplet and the role."""
        return OWN

    def together(self, labels: AnyArray) -> Groups:
        """See ``Task``: the pair, or the triplet."""
        return np.where(np.isnan(labels[:, 0]), -1, labels[:, 0]).astype(np.int64)

    def compared(self, scores: AnyArray, labels: AnyArray) -> tuple[AnyArray, AnyArray]:
        """See ``Task``: (P, 1) the cosine of each pair whose score is known, and that score."""
        first, second, wanted = _pairs.pairs_of(labels)
        return _vectors.cosine(scores[first], scores[second])[:, None], wanted[:, None]

    def answers(self, scores: AnyArray) -> AnyArray:
        """(N, 2) of pairs: each two samples in a row, and half of 1 plus their cosine, 0..1 as scores are held."""
        pairs = np.full((len(scores), OWN), np.nan, np.float32)
        count = len(scores) // 2
        share = (1 + _vectors.cosine(scores[0 : 2 * count : 2], scores[1 : 2 * count : 2])) / 2
        pairs[: 2 * count] = np.stack([np.arange(count), share], axis=1).repeat(2, axis=0)
        return pairs

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) 1 minus the cosine, 0..2."""
        return _vectors.cosine_distance(one, other)

    def decode(self, shares: Floats, names: Sequence[str]) -> Vector:
        """See ``Task``."""
        return Vector(tuple(shares.tolist()))

    def record(self, decided: Vector) -> Record:
        """See ``Task``."""
        return {"values": [float(f"{value:.6g}") for value in decided.values]}

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``."""
        return list(record["values"])
