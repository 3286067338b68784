"""Of all samples of a batch each finds its own partner, as the labels name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range, check_temperature
from edgekd.learn.losses._pairs import candidates, unit


@dataclass(frozen=True)
class MultipleNegatives:
    """mean over the samples i of pairs, with partner p, of  -log  exp(s_ip / T) / sum over j of exp(s_ij / T)

    with s_ij the cosine of the student's vectors of i and j (multiple negatives ranking, Henderson et al. 2017,
    arXiv:1705.00652; of both samples of each pair, Chen et al. 2020, arXiv:2002.05709, eq. 1). A pair is one whose
    score is at least ``positive``, or an anchor and its positive; j is any other sample of these pairs, or a negative
    of any triplet. A batch without such a pair gives 0. It suits labels without scores, and needs no teacher;
    ``info_nce`` leaves out those j that a teacher holds as near as the partner.

    Attributes:
        temperature: T, 0 < T <= 100.
        positive: the score from which on a pair belongs together, 0 to 1, as the task holds scores.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    temperature: float = 0.05
    positive: float = 0.75

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_range("positive", self.positive, 0, 1)

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, D); labels: (N, 2) of pairs and scores, or of triplets and roles. A scalar >= 0."""
        queries, partner, every, itself = candidates(labels, self.positive)
        if not len(queries):
            return student.sum() * 0.0
        vectors = unit(student)
        logits = (vectors[queries] @ vectors[every].T / self.temperature).masked_fill(itself, -torch.inf)
        return F.cross_entropy(logits, partner)
