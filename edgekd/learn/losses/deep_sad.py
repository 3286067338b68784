"""Small errors for what is normal, large ones for what is not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

STEEP = 10.0  # above that exp goes on as a straight line: at 89 it leaves float32


@dataclass(frozen=True)
class DeepSad:
    """mean over n and c of  exp(y_nc s_nc),  y = -1 of an anomaly, else 1 (Ruff et al. 2020, arXiv:1906.02694, eq. 7,
    with eta = 1): of scores that are the logarithm of an error it is that error, and one over it of an anomaly.

    Above y s = 10 it goes on as a straight line. Samples that nobody knows count as normal. A network whose score is no
    error of a reconstruction wants anomalies among its training labels: else it calls everything normal.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    unlabelled: ClassVar[bool] = True

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, C) scores; labels: (N, C), 1 of an anomaly, 0 or -1 else. Returns a scalar >= 0."""
        return self.per_sample(student, teacher, labels).mean()

    def per_sample(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample."""
        signed = torch.where(labels == 1, -student, student)
        return (signed.clamp(max=STEEP).exp() + math.exp(STEEP) * (signed - STEEP).relu()).mean(dim=1)
