"""Hidden states of transformers: chosen layers of the student say what chosen layers of the teacher say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._features import check_alike, check_layers, regressor


@dataclass(frozen=True)
class HiddenStates:
    """mean over layers of  mean over tokens of  1 - cos(W h_s, h_t)  or of  mean over elements of (W h_s - h_t)^2

    cosine as in DistilBERT (Sanh et al. 2019, arXiv:1910.01108), squares as in TinyBERT (Jiao et al. 2020,
    arXiv:1909.10351, eq. 8). Padding does not count. W is learned where the widths differ, else it is left out.

    Attributes:
        form: ``cosine`` or ``squares``.
        student_layers, teacher_layers: module paths, paired by their place.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features", "mask"})
    student_layers: tuple[str, ...]
    teacher_layers: tuple[str, ...]
    form: Literal["cosine", "squares"] = "cosine"

    def __post_init__(self) -> None:
        check_layers(self.student_layers, self.teacher_layers)

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> nn.Module | None:
        """A map for each pair, where any widths differ."""
        check_alike(student, teacher, "hidden_states")
        if all(s[-1] == t[-1] for s, t in zip(student, teacher, strict=True)):
            return None
        return nn.ModuleList(regressor(s, t) for s, t in zip(student, teacher, strict=True))

    def __call__(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
        adapter: nn.Module | None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """student, teacher: (N, L, D) each; mask: (N, L), 1 for tokens and 0 for padding. A scalar >= 0."""
        maps = adapter if isinstance(adapter, nn.ModuleList) else [nn.Identity()] * len(student)
        found = []
        for w, s, t in zip(maps, student, teacher, strict=True):
            a = w(s)
            gap = 1 - F.cosine_similarity(a, t, dim=-1) if self.form == "cosine" else (a - t).square().mean(dim=-1)
            weight = torch.ones_like(gap) if mask is None else mask.to(gap.dtype)
            found.append((gap * weight).sum() / weight.sum().clamp_min(1))
        return torch.stack(found).mean()
