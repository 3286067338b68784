"""Triplets that the teacher names: who is near it keeps near, who is far it keeps farther."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range
from edgekd.learn.losses._features import OnOutputs, distances, vectors


@dataclass(frozen=True)
class Triplet(OnOutputs):
    """mean over layers and triplets (i, j, k) of  max(0, m - d_ik + d_ij)  (Schroff et al. 2015, arXiv:1503.03832)

    with d the Euclidean distance between the student's vectors of length 1. The teacher names the triplets: j is the
    sample nearest to i in its space, k every sample that is farther from i there than half of the others.

    Attributes:
        margin: m, 0 to 2.
    """

    margin: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("margin", self.margin, 0, 2)

    def pair(self, student: Tensor, teacher: Tensor, part: nn.Module | None) -> Tensor:
        """student, teacher: (N, ...). A scalar in 0 .. m + 2; zero where every margin is kept, or N < 3."""
        if len(student) < 3:
            return student.sum() * 0
        near, far = _named(distances(vectors(teacher)))
        d = distances(F.normalize(vectors(student)))
        margins = F.relu(self.margin - d + d.gather(1, near[:, None]))
        return margins[far].mean()


def _named(d: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) the nearest other sample of each, and (N, N) whether a sample is in the farther half of the others."""
    diagonal = torch.eye(len(d), dtype=torch.bool, device=d.device)
    order = d.masked_fill(diagonal, float("inf")).argsort(dim=1, stable=True)[:, :-1]
    far = torch.zeros_like(diagonal)
    far.scatter_(1, order[:, max(1, (len(d) - 1) // 2) :], True)
    return order[:, 0], far
