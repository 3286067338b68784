"""Regression of the teacher's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class SquaredError:
    """mean over n and c of  (s_nc - t_nc)^2  (Ba and Caruana 2014, arXiv:1312.6184, eq. 1 without its factor 1/2).

    On logits it keeps what a softmax would throw away; for a network whose outputs are values it is the loss. In the
    unit of the outputs, squared: far from 1 it wants a weight, or outputs that are scaled.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C). A scalar >= 0, zero where both say the same."""
        return F.mse_loss(student, teacher)
