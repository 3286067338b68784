"""Distillation of the teacher's soft answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._base import check_temperature, standardised


@dataclass(frozen=True)
class Kl:
    """T^2 x mean over n of  KL( softmax(t_n / T) || softmax(s_n / T) )  (Hinton et al. 2015, arXiv:1503.02531).

    The factor T^2 keeps the gradient's size comparable between temperatures (section 2 of the paper). The multi-label
    form is the sum over the classes of the KL of two Bernoulli distributions, sigmoid(t / T) and sigmoid(s / T).

    Attributes:
        temperature: T, 0 < T <= 100.
        standardise: divide each sample's logits by their own spread first (arXiv:2403.01427).
        form: ``classes``, of which one is right, or ``multi_label``.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    temperature: float = 4.0
    standardise: bool = False
    form: Literal["classes", "multi_label"] = "classes"

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C) logits. Returns a scalar >= 0, zero where both say the same."""
        if self.standardise:
            student, teacher = standardised(student), standardised(teacher)
        s, t = student / self.temperature, teacher / self.temperature
        if self.form == "multi_label":
            p = t.sigmoid()
            bits = p * (F.logsigmoid(t) - F.logsigmoid(s)) + (1 - p) * (F.logsigmoid(-t) - F.logsigmoid(-s))
            return bits.sum(dim=1).mean() * self.temperature**2
        divergence = F.kl_div(F.log_softmax(s, dim=1), F.log_softmax(t, dim=1), reduction="batchmean", log_target=True)
        return divergence * self.temperature**2
