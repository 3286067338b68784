"""Hints: the student's inner layers are drawn to the teacher's through a map that is learned and then dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._features import OnLayers, check_alike, pooled, regressor


@dataclass(frozen=True)
class Hint(OnLayers):
    """mean over layers of  mean over all elements of ( W f_s - f_t )^2

    (FitNets, Romero et al. 2015, arXiv:1412.6550, eq. 3). W is a 1x1 convolution (maps) or a matrix (vectors,
    sequences) with bias. Maps of unlike size meet on the smaller grid, by averages. The paper's factor 1/2 and its sum
    over elements are left to the weight.
    """

    by_position: ClassVar[bool] = True

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> nn.Module:
        """One map a pair."""
        check_alike(student, teacher, "hint")
        return nn.ModuleList(regressor(s, t) for s, t in zip(student, teacher, strict=True))

    def pair(self, student: Tensor, teacher: Tensor, part: nn.Module) -> Tensor:
        """student, teacher: (N, C, H, W), (N, L, D) or (N, D). A scalar >= 0, zero where W f_s = f_t."""
        return F.mse_loss(*pooled(part(student), teacher))
