"""Triplets that the data names: how much nearer the positive is than the negative, as the teacher says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgekd.learn.losses._pairs import margins, triplets_of


@dataclass(frozen=True)
class MarginMse:
    """mean over the triplets (a, p, n) of a batch of  ((s_ap - s_an) - (t_ap - t_an))^2  (Margin-MSE, Hofstätter et al.
    2020, arXiv:2010.02666)

    with s_ij the cosine of the student's vectors of i and j, t_ij of the teacher's. A margin that the teacher does not
    see is not asked for, so that a wrong negative does little harm. A triplet of which a sample is not in the batch
    does not count; a batch without a triplet gives 0.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "labels"})
    triplets: ClassVar[bool] = True

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """student, teacher: (N, D), (N, E); labels: (N, 2) of triplets and roles. A scalar in 0..16."""
        named = triplets_of(labels)
        gaps = margins(student, named) - margins(teacher, named)
        return gaps.square().sum() / max(len(gaps), 1)
