"""The loss of labels of which several may apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._known import row_means


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """mean over n, and over the labels c that are known of n, of  -q log sigmoid(s_nc) - (1 - q) log sigmoid(-s_nc)

    with q = (1 - e) y_nc + e / 2 (Bishop 2006, Pattern Recognition and Machine Learning, eq. 4.90, each label a
    logistic regression).

    Attributes:
        label_smoothing: e, 0 <= e < 1.
        positive_weight: what a label that applies counts against one that does not, above 0 and at most 1000.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    label_smoothing: float = 0.0
    positive_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError("label_smoothing: allowed is 0 <= e < 1")
        if not 0 < self.positive_weight <= 1000:
            raise ValueError("positive_weight: allowed is 0 < w <= 1000")

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, C) logits; labels: (N, C) of 0 and 1, -1 where not known. Returns a scalar >= 0."""
        return self.per_sample(student, teacher, labels).mean()

    def per_sample(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample."""
        wanted = (1 - self.label_smoothing) * labels.to(student.dtype) + self.label_smoothing / 2
        weight = student.new_tensor(self.positive_weight)
        each = F.binary_cross_entropy_with_logits(student, wanted, reduction="none", pos_weight=weight)
        return row_means(each, labels >= 0)
