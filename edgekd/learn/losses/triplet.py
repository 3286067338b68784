"""Triplets that the teacher names: who is near it keeps near, who is far it keeps farther."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range
from edgekd.learn.losses._features import check_layers, distances, vectors


@dataclass(frozen=True)
class Triplet:
    """mean over layers and triplets (i, j, k) of  max(0, m - d_ik + d_ij)  (Schroff et al. 2015, arXiv:1503.03832)

    with d the Euclidean distance between the student's vectors of length 1. The teacher names the triplets: j is the
    sample nearest to i in its space, k every sample that is farther from i there than half of the others.

    Attributes:
        margin: m, 0 to 2.
        student_layers, teacher_layers: module paths, paired by their place; "" is the network's output.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    margin: float = 0.2
    student_layers: tuple[str, ...] = ("",)
    teacher_layers: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        check_range("margin", self.margin, 0, 2)
        check_layers(self.student_layers, self.teacher_layers)

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> None:
        """None is needed: the teacher only names the triplets."""

    def __call__(self, student: Sequence[Tensor], teacher: Sequence[Tensor], adapter: nn.Module | None) -> Tensor:
        """student, teacher: (N, ...) each. A scalar in 0 .. m + 2; zero where every margin is kept, or N < 3."""
        pairs = zip(student, teacher, strict=True)
        return torch.stack([self._of(vectors(s), vectors(t)) for s, t in pairs]).mean()

    def _of(self, s: Tensor, t: Tensor) -> Tensor:
        if len(s) < 3:
            return s.sum() * 0
        near, far = _named(distances(t))
        d = distances(F.normalize(s))
        margins = F.relu(self.margin - d + d.gather(1, near[:, None]))
        return margins[far].mean()


def _named(d: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) the nearest other sample of each, and (N, N) whether a sample is in the farther half of the others."""
    own = torch.eye(len(d), dtype=torch.bool, device=d.device)
    order = d.masked_fill(own, float("inf")).argsort(dim=1, stable=True)[:, :-1]
    far = torch.zeros_like(own)
    far.scatter_(1, order[:, max(1, (len(d) - 1) // 2) :], True)
    return order[:, 0], far
