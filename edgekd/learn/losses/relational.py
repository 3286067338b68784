"""Relational distillation: distances and angles between samples, not the samples' own places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range
from edgekd.learn.losses._features import OnOutputs, distances, vectors


@dataclass(frozen=True)
class Relational(OnOutputs):
    """mean over layers of  distance x mean over i != j of h(d^s_ij - d^t_ij) + angle x mean over distinct i, j, k of
    h(a^s_ijk - a^t_ijk)

    with d = the Euclidean distance over its mean, a = the cosine of the angle at j, and Huber's h of threshold 1
    (Park et al. 2019, arXiv:1904.05068, eq. 4 to 8; the means there run over all tuples, here over distinct ones).

    Attributes:
        distance, angle: weights, 0 to 1000. The angles of a batch of N take N^3 numbers.
    """

    distance: float = 25.0
    angle: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("distance", self.distance, 0, 1000)
        check_range("angle", self.angle, 0, 1000)

    def pair(self, student: Tensor, teacher: Tensor, part: nn.Module | None) -> Tensor:
        """student, teacher: (N, ...). A scalar >= 0, zero where one is the other, moved, turned and scaled."""
        a, b = vectors(student), vectors(teacher)
        total = a.sum() * 0
        if self.distance and len(a) > 1:
            total = total + self.distance * F.smooth_l1_loss(_distances(a), _distances(b))
        if self.angle and len(a) > 2:
            total = total + self.angle * F.smooth_l1_loss(_angles(a), _angles(b))
        return total


def _distances(x: Tensor) -> Tensor:
    """Of all pairs i != j, over their mean."""
    pairs = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    pair_distances = distances(x)[pairs]
    return pair_distances / pair_distances.mean().clamp_min(1e-12)


def _angles(x: Tensor) -> Tensor:
    """Cosines at j of all distinct i, j, k."""
    towards = F.normalize(x[:, None] - x[None], dim=2)
    cosines = torch.einsum("ijd,kjd->jik", towards, towards)
    other = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    distinct = other[:, :, None] & other[:, None, :] & other[None]
    return cosines[distinct]
