"""Attention transfer: where in the image the student looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.base.errors import RecipeError
from edgekd.learn.losses._features import OnLayers, pooled


@dataclass(frozen=True)
class AttentionTransfer(OnLayers):
    """mean over layers and n of  || q(f_s) - q(f_t) ||^2,  q = vec(A) / || vec(A) ||,  A = mean over channels of |f|^p

    (Zagoruyko and Komodakis 2017, arXiv:1612.03928, eq. 2 with its activation-based maps). Attention matrices
    (N, heads, L, L) fit too, such as ``bert.encoder.layer.0.attention.self:1``: p = 1 compares the heads' mean. Maps of
    unlike size meet on the smaller grid.

    Attributes:
        power: p, 1 to 8.
    """

    by_position: ClassVar[bool] = True
    power: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.power <= 8:
            raise ValueError("power: allowed is 1 to 8")

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> None:
        """None is needed: the channels are averaged away."""
        for s, t in zip(student, teacher, strict=True):
            if len(s) != 4 or len(t) != 4:
                shapes = f"student {tuple(s)}, teacher {tuple(t)}"
                raise RecipeError(
                    "attention needs maps", where="attention_transfer", found=shapes, allowed="(N, C, H, W)"
                )

    def pair(self, student: Tensor, teacher: Tensor, part: nn.Module | None) -> Tensor:
        """student, teacher: (N, C, H, W). A scalar in 0..4, zero where the maps are equal up to a factor."""
        a, b = pooled(self._map(student), self._map(teacher))
        return (F.normalize(a.flatten(1)) - F.normalize(b.flatten(1))).square().sum(dim=1).mean()

    def _map(self, features: Tensor) -> Tensor:
        return features.abs().pow(self.power).mean(dim=1, keepdim=True)
