"""Distillation of the teacher's soft answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Kl:
    """T^2 x mean over n of  KL( softmax(t_n / T) || softmax(s_n / T) )  (Hinton et al. 2015, arXiv:1503.02531).

    The factor T^2 keeps the gradient's size comparable between temperatures (section 2 of the paper).

    Attributes:
        temperature: T, 0 < T <= 100.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature <= 100:
            raise ValueError("temperature: allowed is 0 < T <= 100")

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C) logits. Returns a scalar >= 0, zero where both say the same."""
        assert teacher is not None
        log_s = F.log_softmax(student / self.temperature, dim=1)
        log_t = F.log_softmax(teacher / self.temperature, dim=1)
        return F.kl_div(log_s, log_t, reduction="batchmean", log_target=True) * self.temperature**2
