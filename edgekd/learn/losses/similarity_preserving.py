"""Similarity-preserving distillation: samples that are alike to the teacher are alike to the student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._features import check_layers, vectors


@dataclass(frozen=True)
class SimilarityPreserving:
    """mean over layers of  || G_s - G_t ||_F^2 / N^2,  G = rows of F F^T, each divided by its length

    where F holds one flattened sample a row (Tung and Mori 2019, arXiv:1907.09682, eq. 2 to 4).

    Attributes:
        student_layers, teacher_layers: module paths, paired by their place.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    student_layers: tuple[str, ...]
    teacher_layers: tuple[str, ...]

    def __post_init__(self) -> None:
        check_layers(self.student_layers, self.teacher_layers)

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> None:
        """None is needed: only samples are compared."""

    def __call__(self, student: Sequence[Tensor], teacher: Sequence[Tensor], adapter: nn.Module | None) -> Tensor:
        """student, teacher: (N, ...) each. A scalar >= 0, zero where the similarities are equal up to row factors."""
        pairs = zip(student, teacher, strict=True)
        return torch.stack([F.mse_loss(_similarity(s), _similarity(t)) for s, t in pairs]).mean()


def _similarity(features: Tensor) -> Tensor:
    rows = vectors(features)
    return F.normalize(rows @ rows.T, dim=1)
