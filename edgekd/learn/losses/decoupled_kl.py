"""Decoupled distillation: how sure the teacher is, and what it thinks of the wrong classes, weighed apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range, check_temperature, standardised
from edgekd.learn.losses._shares import log_softmax


@dataclass(frozen=True)
class DecoupledKl:
    """T^2 x mean over n of  alpha KL(b^t || b^s) + beta KL(q^t || q^s)  (Zhao et al. 2022, arXiv:2203.08679, eq. 7).

    With p = softmax(z / T) and the label y:  b = (p_y, 1 - p_y),  q = p over the classes without y, renormalised.

    Attributes:
        alpha: weight of the label's class, 0 to 1000.
        beta: weight of the other classes, 0 to 1000.
        temperature: T, 0 < T <= 100.
        standardise: divide each sample's logits by their own spread first (arXiv:2403.01427).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "labels"})
    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0
    standardise: bool = False

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0, 1000)
        check_range("beta", self.beta, 0, 1000)
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """student, teacher: (N, C) logits, C >= 2; labels: (N,) int64. A scalar >= 0, zero where both say the same."""
        return self.per_sample(student, teacher, labels).mean()

    def per_sample(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample."""
        if self.standardise:
            student, teacher = standardised(student), standardised(teacher)
        bs, qs = _parts(student / self.temperature, labels)
        bt, qt = _parts(teacher / self.temperature, labels)
        target = F.kl_div(bs, bt, reduction="none", log_target=True).sum(dim=1)
        others = F.kl_div(qs, qt, reduction="none", log_target=True).sum(dim=1)
        return (self.alpha * target + self.beta * others) * self.temperature**2


def _parts(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(log b, log q): (N, 2) and (N, C - 1)."""
    count, classes = z.shape
    is_target = F.one_hot(labels, classes).bool()
    others = z[~is_target].reshape(count, classes - 1)
    pair = torch.stack([z[is_target], others.logsumexp(dim=1)], dim=1)
    return log_softmax(pair), log_softmax(others)
