"""Triplets that the data names: the anchor is nearer to its positive than to its negative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range
from edgekd.learn.losses._pairs import margins, triplets_of


@dataclass(frozen=True)
class LabelledTriplets:
    """mean over the triplets (a, p, n) of a batch of  max(0, m - cos(s_a, s_p) + cos(s_a, s_n))  (the triplet objective
    of Reimers and Gurevych 2019, arXiv:1908.10084, section 3, with 1 - cos for the distance).

    The labels name the triplets; ``triplet`` is the loss whose triplets the teacher names. One of which a sample is not
    in the batch does not count; a batch without a triplet gives 0.

    Attributes:
        margin: m, 0 to 2.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    triplets: ClassVar[bool] = True
    margin: float = 0.2

    def __post_init__(self) -> None:
        check_range("margin", self.margin, 0, 2)

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, D); labels: (N, 2) of triplets and roles. A scalar in 0 .. m + 2."""
        ours = margins(student, triplets_of(labels))
        return F.relu(self.margin - ours).sum() / max(len(ours), 1)
