"""Pairs of vectors against how alike people say that the two samples are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgekd.learn.losses._pairs import pairs_of, unit


@dataclass(frozen=True)
class SimilarityScores:
    """mean over the pairs (a, b) of a batch of  (s_a . s_b / (|s_a| |s_b|) - y_ab)^2  (Reimers and Gurevych 2019,
    arXiv:1908.10084, section 3, the regression objective).

    y is the score of the pair, 0..1; of a triplet's anchor and positive it is 1, of anchor and negative 0. Pairs of
    which but one sample is in the batch, or whose score nobody knows, do not count; a batch without a pair gives 0.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, D); labels: (N, 2) of pairs and scores, or of triplets and roles. A scalar in 0..4."""
        first, second, scores = pairs_of(labels)
        vectors = unit(student)
        gaps = (vectors[first] * vectors[second]).sum(dim=1) - scores.to(student.dtype)
        return gaps.square().sum() / max(len(gaps), 1)
