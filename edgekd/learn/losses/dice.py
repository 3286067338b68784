"""A loss on maps of classes that a rare class counts in as much as a common one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dice:
    """mean over n and c of  1 - (2 sum_i p_nci y_nci + e) / (sum_i p_nci + sum_i y_nci + e),  p the softmax over the
    classes of each place i, y 1 where c is its label (Milletari et al. 2016, arXiv:1606.04797, section 3, with sums in
    place of sums of squares).

    Places without a label count in no sum. A class that a sample has not is right where it is said nowhere.

    Attributes:
        smooth: e, in places, above 0, at most 1e6: what a class of no place is held by.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    maps: ClassVar[bool] = True
    smooth: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.smooth <= 1e6:
            raise ValueError("smooth: allowed is above 0, at most 1e6")

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, C, ...) logits; labels: (N, ...) int64, -1 where a place has none. Returns a scalar 0..1."""
        return self.per_sample(student, teacher, labels).mean()

    def per_sample(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample."""
        wanted = labels.flatten(1)
        share = student.flatten(2).softmax(1) * (wanted >= 0)[:, None]
        right = wanted[:, None] == torch.arange(student.shape[1], device=wanted.device)[:, None]
        both = (share * right).sum(-1)
        either = share.sum(-1) + right.sum(-1)
        return (1 - (2 * both + self.smooth) / (either + self.smooth)).mean(dim=1)
