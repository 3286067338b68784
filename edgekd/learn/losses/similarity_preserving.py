"""Similarity-preserving distillation: samples that are alike to the teacher are alike to the student."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._features import OnLayers, vectors


@dataclass(frozen=True)
class SimilarityPreserving(OnLayers):
    """mean over layers of  || G_s - G_t ||_F^2 / N^2,  G = rows of F F^T, each divided by its length

    where F holds one flattened sample a row (Tung and Mori 2019, arXiv:1907.09682, eq. 2 to 4).
    """

    def pair(self, student: Tensor, teacher: Tensor, part: nn.Module | None) -> Tensor:
        """student, teacher: (N, ...). A scalar >= 0, zero where the similarities are equal up to row factors."""
        return F.mse_loss(_similarity(student), _similarity(teacher))


def _similarity(features: Tensor) -> Tensor:
    rows = vectors(features)
    return F.normalize(rows @ rows.T, dim=1)
