"""DIST: the student need only agree with the teacher in relation, not in value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgekd.learn.losses._base import check_range, check_temperature, standardised
from edgekd.learn.losses._shares import softmax

TINY = 1e-12


@dataclass(frozen=True)
class Dist:
    """T^2 x ( beta x mean over n of (1 - r(p^s_n, p^t_n)) + gamma x mean over c of (1 - r(p^s_.c, p^t_.c)) )

    with p = softmax(z / T) and Pearson's correlation r: over the classes of a sample (inter-class), and over the
    samples of a class (intra-class) (Huang et al. 2022, arXiv:2205.10536, eq. 8 to 10). Where nothing varies there is
    nothing to correlate, and r counts as 1.

    Attributes:
        beta: weight of the relation between classes, 0 to 1000.
        gamma: weight of the relation between samples, 0 to 1000.
        temperature: T, 0 < T <= 100.
        standardise: divide each sample's logits by their own spread first (arXiv:2403.01427).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    beta: float = 1.0
    gamma: float = 1.0
    temperature: float = 1.0
    standardise: bool = False

    def __post_init__(self) -> None:
        check_range("beta", self.beta, 0, 1000)
        check_range("gamma", self.gamma, 0, 1000)
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C) logits. A scalar in 0 .. 2 T^2 (beta + gamma), zero where both say the same."""
        if self.standardise:
            student, teacher = standardised(student), standardised(teacher)
        p, q = softmax(student / self.temperature), softmax(teacher / self.temperature)
        between_classes = 1 - _correlation(p, q).mean()
        between_samples = 1 - _correlation(p.T, q.T).mean()
        return (self.beta * between_classes + self.gamma * between_samples) * self.temperature**2


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r of each row."""
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    spread = (a.square().mean(dim=1) + TINY).sqrt() * (b.square().mean(dim=1) + TINY).sqrt()
    return ((a * b).mean(dim=1) + TINY) / spread
