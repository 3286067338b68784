"""A loss that looks at what is not learned yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range
from edgekd.learn.losses._known import row_means
from edgekd.learn.losses._shares import log_softmax
from edgekd.tasks import Task


@dataclass(frozen=True)
class Focal:
    """mean over n of  -(1 - p)^gamma log p,  p the probability of what is right (Lin et al. 2017, arXiv:1708.02002).

    Of classes p is the softmax of the label's; of labels of which several apply it is the sigmoid of each that does,
    1 minus it of each that does not, and the mean is also over those that are known. With gamma 0 it is
    ``cross_entropy`` and ``binary_cross_entropy``.

    Attributes:
        gamma: 0 to 10; a sample that is right with p = 0.9 counts 0.1^gamma as much.
        form: ``classes``, ``multi_label``, or ``auto``: as the task is.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    gamma: float = 2.0
    form: Literal["auto", "classes", "multi_label"] = "auto"

    def __post_init__(self) -> None:
        check_range("gamma", self.gamma, 0, 10)

    def of_task(self, task: Task) -> Focal:
        """See ``TaskLoss``."""
        return self if self.form != "auto" or task.link == "softmax" else replace(self, form="multi_label")

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, C) logits; labels: (N,) int64 in 0..C-1, or (N, C) of 0 and 1. Returns a scalar >= 0."""
        return self.per_sample(student, teacher, labels).mean()

    def per_sample(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample."""
        if self.form == "multi_label":
            log_p = F.logsigmoid(student.where(labels > 0, -student))
            return row_means(self._focused(log_p), labels >= 0)
        return self._focused(log_softmax(student).gather(1, labels[:, None])[:, 0])

    def _focused(self, log_p: Tensor) -> Tensor:
        """(1 - p)^gamma is taken from below, where its gradient at p = 1 is 0."""
        return -((-log_p.expm1()).clamp_min(1e-12) ** self.gamma) * log_p
