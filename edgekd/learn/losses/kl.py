"""Distillation of the teacher's soft answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd.base.errors import RecipeError
from edgekd.learn.losses._base import check_temperature, standardised
from edgekd.learn.losses._shares import log_softmax
from edgekd.tasks import Task

LEAST = -1e4  # exp(-1e4) is zero in every float type


@dataclass(frozen=True)
class Kl:
    """T^2 x mean over n of  KL( softmax(t_n / T) || softmax(s_n / T) )  (Hinton et al. 2015, arXiv:1503.02531).

    The factor T^2 keeps the gradient's size comparable between temperatures (section 2 of the paper). The multi-label
    form is the sum over the classes of the KL of two Bernoulli distributions, sigmoid(t / T) and sigmoid(s / T).

    A teacher whose k best classes alone were recorded says of the rest only how much it is together. Spread evenly
    over them, that teaches that they are alike; ``rest = "together"`` compares it as one class of that mass, on both
    sides, so that the student keeps its own order of them.

    Attributes:
        temperature: T, 0 < T <= 100.
        standardise: divide each sample's logits by their own spread first (arXiv:2403.01427).
        form: ``classes``, of which one is right, ``multi_label``, or ``auto``: as the task is.
        rest: ``spread``, or ``together``: classes that the teacher does not tell apart, half of all or more, count as
            one.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    temperature: float = 4.0
    standardise: bool = False
    form: Literal["auto", "classes", "multi_label"] = "auto"
    rest: Literal["spread", "together"] = "spread"

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if self.rest == "together" and self.form == "multi_label":
            raise ValueError("rest: allowed is spread where classes are no shares of one")

    def of_task(self, task: Task) -> Kl:
        """See ``TaskLoss``.

        Raises:
            RecipeError: labels of which several apply are no classes that share out a rest.
        """
        if self.form != "auto" or task.link == "softmax":
            return self
        if self.rest == "together":
            raise RecipeError("classes that are no shares of one", where="losses", found="rest", allowed="spread")
        return replace(self, form="multi_label")

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C) logits. Returns a scalar >= 0, zero where both say the same."""
        if self.standardise:
            student, teacher = standardised(student), standardised(teacher)
        s, t = student / self.temperature, teacher / self.temperature
        if self.form == "multi_label":
            p = t.sigmoid()
            bits = p * (F.logsigmoid(t) - F.logsigmoid(s)) + (1 - p) * (F.logsigmoid(-t) - F.logsigmoid(-s))
            return bits.sum(dim=1).mean() * self.temperature**2
        log_s, log_t = log_softmax(s), log_softmax(t)
        if self.rest == "together":
            log_s, log_t = _together(log_s, log_t)
        divergence = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
        return divergence * self.temperature**2


def _together(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two sets of (N, C) log shares as (N, C + 1): classes of which the teacher says the same are one, the last.

    Of k recorded classes, k below half of all, the value in the middle is that of the rest.
    """
    rest = teacher == teacher.median(dim=1, keepdim=True).values
    rest &= rest.sum(dim=1, keepdim=True) > 1
    parts = []
    for log_shares in (student, teacher):
        whole = log_shares.masked_fill(~rest, LEAST).logsumexp(dim=1, keepdim=True).clamp_min(LEAST)
        parts.append(torch.cat([log_shares.masked_fill(rest, LEAST), whole], dim=1))
    return parts[0], parts[1]
