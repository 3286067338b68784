"""Hints: the student's inner layers are drawn to the teacher's through a map that is learned and then dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._features import check_alike, check_layers, pooled, regressor


@dataclass(frozen=True)
class Hint:
    """mean over layers of  mean over all elements of ( W f_s - f_t )^2

    (FitNets, Romero et al. 2015, arXiv:1412.6550, eq. 3). W is a 1x1 convolution (maps) or a matrix (vectors,
    sequences) with bias. Maps of unlike size meet on the smaller grid, by averages. The paper's factor 1/2 and its sum
    over elements are left to the weight.

    Attributes:
        student_layers, teacher_layers: module paths, paired by their place.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    student_layers: tuple[str, ...]
    teacher_layers: tuple[str, ...]

    def __post_init__(self) -> None:
        check_layers(self.student_layers, self.teacher_layers)

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> nn.Module:
        """One map a pair."""
        check_alike(student, teacher, "hint")
        return nn.ModuleList(regressor(s, t) for s, t in zip(student, teacher, strict=True))

    def __call__(self, student: Sequence[Tensor], teacher: Sequence[Tensor], adapter: nn.Module | None) -> Tensor:
        """student, teacher: (N, C, H, W), (N, L, D) or (N, D) each. A scalar >= 0, zero where W f_s = f_t."""
        assert isinstance(adapter, nn.ModuleList)
        found = []
        for w, s, t in zip(adapter, student, teacher, strict=True):
            a, b = pooled(w(s), t)
            found.append(F.mse_loss(a, b))
        return torch.stack(found).mean()
