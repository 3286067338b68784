"""Distillation of maps, channel by channel: where in a picture each class is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgekd.learn.losses._base import check_temperature


@dataclass(frozen=True)
class ChannelWise:
    """mean over n and c of  T^2 KL( softmax_i(t_nci / T) || softmax_i(s_nci / T) ),  each softmax over the places i of
    one channel (Shu et al. 2021, arXiv:2011.13256, eq. 3 to 5).

    A channel is compared by where it is large, not by how large it is: every class counts alike, the rare ones too.
    ``kl`` beside it compares the classes of each place.

    Attributes:
        temperature: T, 0 < T <= 100.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    maps: ClassVar[bool] = True
    temperature: float = 4.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C, ...) logits. Returns a scalar >= 0, zero where both say the same."""
        log_s, log_t = ((maps.flatten(2) / self.temperature).log_softmax(-1) for maps in (student, teacher))
        return (log_t.exp() * (log_t - log_s)).sum(-1).mean() * self.temperature**2
