"""Ranking distillation: the teacher's best items are positives for the student, the first the most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range


@dataclass(frozen=True)
class Ranking:
    """mean over n of  -sum over r = 1..K of w_r log sigmoid(s_n,pi(r)),  w_r = exp(-r / decay) / sum of exp(-r / decay)

    where pi(r) is the item that the teacher ranks r-th for the sample (Tang and Wang 2018, arXiv:1809.07428, eq. 5 and
    6, the weights by position alone). It only pulls the teacher's best items up: it falls towards 0 as their scores
    grow, and is above 0 also where the student says what the teacher says. So it goes beside a loss that holds the
    other items down, such as cross_entropy or kl, with a small weight.

    Attributes:
        top: K, 1 to 10000; of fewer items all count.
        decay: how many places down a weight falls to 1 / e, 0.01 to 10000.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    top: int = 10
    decay: float = 10.0

    def __post_init__(self) -> None:
        check_range("top", self.top, 1, 10_000)
        check_range("decay", self.decay, 0.01, 10_000)

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C) scores of C items. A scalar > 0."""
        best = teacher.topk(min(self.top, teacher.shape[1]), dim=1).indices
        place = torch.arange(best.shape[1], dtype=student.dtype, device=student.device)
        weight = (-place / self.decay).softmax(dim=0)
        return -(F.logsigmoid(student.gather(1, best)) * weight).sum(dim=1).mean()
