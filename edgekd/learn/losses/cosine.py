"""The direction of the teacher's vectors, whatever their length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-6  # a shorter vector counts as one of this length: it has no direction to learn from


@dataclass(frozen=True)
class Cosine:
    """mean over n of  1 - s_n . t_n / (|s_n| |t_n|)  (the hidden-state loss of Sanh et al. 2019, arXiv:1910.01108).

    From 0, both point the same way, to 2. The length of the student's vectors is not learned: where it matters, add
    ``squared_error``, or normalise in the network.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, D). A scalar in 0..2, zero where all point the same way."""
        s, t = F.normalize(student, eps=LEAST), F.normalize(teacher, eps=LEAST)
        return (s - t).square().sum(dim=1).mean() / 2
