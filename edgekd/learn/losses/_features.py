"""What losses on features share: pairs of layers, shapes that are made to match."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.base.errors import RecipeError


@dataclass(frozen=True)
class OnLayers(ABC):
    """A ``FeatureLoss`` that is the mean over its pairs of layers.

    Attributes:
        student_layers, teacher_layers: module paths, at least one, paired by their place; "" is the network's output.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    by_position: ClassVar[bool] = False
    one_size: ClassVar[bool] = False
    student_layers: tuple[str, ...]
    teacher_layers: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.student_layers:
            raise ValueError("student_layers: allowed is at least one module path")
        if len(self.student_layers) != len(self.teacher_layers):
            raise ValueError("teacher_layers: allowed are as many as student_layers")

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> nn.Module | None:
        """See ``FeatureLoss``: none, or an ``nn.ModuleList`` of one part a pair."""
        return None

    def __call__(self, student: Sequence[Tensor], teacher: Sequence[Tensor], adapter: nn.Module | None) -> Tensor:
        """See ``FeatureLoss``."""
        parts = parts_of(adapter, len(student))
        return torch.stack([self.pair(*three) for three in zip(student, teacher, parts, strict=True)]).mean()

    @abstractmethod
    def pair(self, student: Tensor, teacher: Tensor, part: Any) -> Tensor:
        """A scalar >= 0 from one pair of layers and its part of what ``adapter`` made; None where that is none."""


@dataclass(frozen=True)
class OnOutputs(OnLayers):
    """One on layers that compares the networks' outputs where no layers are named."""

    student_layers: tuple[str, ...] = ("",)
    teacher_layers: tuple[str, ...] = ("",)


def parts_of(adapter: nn.Module | None, count: int) -> Sequence[nn.Module | None]:
    """An adapter's part for each of ``count`` pairs; None where there is no adapter."""
    return list(adapter) if isinstance(adapter, nn.ModuleList) else [None] * count


def check_alike(student: Sequence[torch.Size], teacher: Sequence[torch.Size], where: str) -> None:
    """Feature maps (N, C, H, W), sequences (N, L, D) or vectors (N, D), paired with their like."""
    for s, t in zip(student, teacher, strict=True):
        if len(s) != len(t) or len(s) not in (2, 3, 4) or (len(s) == 3 and s[1] != t[1]):
            raise RecipeError(
                "the layers' outputs can't be matched",
                where=where,
                found=f"student {tuple(s)}, teacher {tuple(t)}",
                allowed="two maps (N, C, H, W), two vectors (N, D), or two sequences (N, L, D) of one length",
            )


def pooled(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two sets of maps (N, C, H, W) on the smaller of the two grids, by averages; everything else as it is."""
    if a.dim() != 4 or a.shape[2:] == b.shape[2:]:
        return a, b
    grid = (min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3]))
    return F.adaptive_avg_pool2d(a, grid), F.adaptive_avg_pool2d(b, grid)


def regressor(student: torch.Size, teacher: torch.Size) -> nn.Module:
    """A learned linear map from the student's width to the teacher's: 1x1 convolution for maps, else a matrix."""
    if len(student) == 4:
        return nn.Conv2d(student[1], teacher[1], 1)
    return nn.Linear(student[-1], teacher[-1])


def vectors(features: Tensor) -> Tensor:
    """(N, D) from whatever a layer gives: one row a sample."""
    return features.flatten(1)


def distances(x: Tensor) -> Tensor:
    """(N, N) Euclidean distances between rows, by differences: a product of matrices would lose small ones.

    Its gradient is zero where a distance is.
    """
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
