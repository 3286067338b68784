"""The task's own loss: cross-entropy with the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgekd.learn.losses._shares import cross_entropy


@dataclass(frozen=True)
class CrossEntropy:
    """mean over n of  -sum_c q_nc log softmax(s_n)_c,  q = (1 - e) onehot(y) + e / C.

    Attributes:
        label_smoothing: e, 0 <= e < 1 (Szegedy et al. 2016, arXiv:1512.00567).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError("label_smoothing: allowed is 0 <= e < 1")

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, C) logits; labels: (N,) int64 in 0..C-1. Returns a scalar >= 0."""
        return cross_entropy(student, labels, self.label_smoothing)

    def per_sample(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample."""
        return cross_entropy(student, labels, self.label_smoothing, "none")
