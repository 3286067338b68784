"""Hidden states of transformers: chosen layers of the student say what chosen layers of the teacher say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.base.errors import RecipeError
from edgekd.learn.losses._features import OnLayers, check_alike, parts_of, regressor


@dataclass(frozen=True)
class HiddenStates(OnLayers):
    """mean over layers of  mean over tokens of  1 - cos(W h_s, h_t)  or of  mean over elements of (W h_s - h_t)^2

    cosine as in DistilBERT (Sanh et al. 2019, arXiv:1910.01108), squares as in TinyBERT (Jiao et al. 2020,
    arXiv:1909.10351, eq. 8). Padding does not count. W is learned where the widths differ, else it is left out.

    Attributes:
        form: ``cosine`` or ``squares``.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features", "mask"})
    by_position: ClassVar[bool] = True
    form: Literal["cosine", "squares"] = "cosine"

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> nn.Module | None:
        """A map for each pair, where any widths differ.

        Raises:
            RecipeError: maps of pictures, or what can't be matched.
        """
        check_alike(student, teacher, "hidden_states")
        for s, t in zip(student, teacher, strict=True):
            if len(s) == 4:
                shapes, allowed = f"student {tuple(s)}, teacher {tuple(t)}", "sequences (N, L, D), or vectors (N, D)"
                raise RecipeError("maps are no hidden states", where="hidden_states", found=shapes, allowed=allowed)
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
        """student, teacher: (N, L, D) or (N, D) each; mask: (N, L), 1 for tokens and 0 for padding. A scalar >= 0."""
        threes = zip(student, teacher, parts_of(adapter, len(student)), strict=True)
        return torch.stack([self.pair(s, t, w, mask) for s, t, w in threes]).mean()

    def pair(self, student: Tensor, teacher: Tensor, part: nn.Module | None, mask: Tensor | None = None) -> Tensor:
        """A scalar >= 0, zero where W h_s is h_t (cosine: its direction).

        Args:
            student, teacher: (N, L, D), or (N, D) vectors, which have no padding; mask: (N, L).
        """
        a = student if part is None else part(student)
        cosine = self.form == "cosine"
        gap = 1 - F.cosine_similarity(a, teacher, dim=-1) if cosine else (a - teacher).square().mean(dim=-1)
        weight = torch.ones_like(gap) if mask is None or gap.ndim == 1 else mask.to(gap.dtype)
        return (gap * weight).sum() / weight.sum().clamp_min(1)
