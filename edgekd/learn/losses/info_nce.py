"""Of all samples of a batch each finds its own partner, by as much as the teacher tells the others from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._base import check_range, check_temperature
from edgekd.learn.losses._pairs import candidates, unit


@dataclass(frozen=True)
class InfoNce:
    """mean over the samples i of pairs, with partner p, of  -log  exp(s_ip / T) / sum over j of exp((s_ij + m_ij) / T)

    s_ij is the cosine of the student's vectors of i and j (InfoNCE, van den Oord et al. 2018, arXiv:1807.03748; of both
    samples of each pair, Chen et al. 2020, arXiv:2002.05709, eq. 1). The margin (Yang et al. 2019, arXiv:1902.08564) is
    the teacher's own,  m_ij = margin (t_ip - t_ij),  with its cosines t: what it holds far apart has to be far apart.
    Those j that it holds as near as the partner are no negatives and do not count (Solatorio 2024, arXiv:2402.16829).
    Only pairs whose score is at least ``positive`` are there, and anchors with their positives; j is any other sample
    of these, or a negative of any triplet. A batch without such a pair gives 0.

    Attributes:
        temperature: T, 0 < T <= 100.
        margin: how much of the teacher's margin is asked for, 0 to 1.
        positive: the score from which on a pair belongs together, 0 to 1, as the task holds scores.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "labels"})
    temperature: float = 0.05
    margin: float = 0.2
    positive: float = 0.75

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_range("margin", self.margin, 0, 1)
        check_range("positive", self.positive, 0, 1)

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """student, teacher: (N, D); labels: (N, 2) of pairs and scores, or of triplets and roles. A scalar >= 0."""
        queries, partner, every, itself = candidates(labels, self.positive)
        if not len(queries):
            return student.sum() * 0.0
        ours, theirs = unit(student), unit(teacher)
        s, t = ours[queries] @ ours[every].T, theirs[queries] @ theirs[every].T
        margins = t.gather(1, partner[:, None]) - t
        is_partner = F.one_hot(partner, len(every)).bool()
        logits = (s + self.margin * margins) / self.temperature
        return F.cross_entropy(logits.masked_fill(((margins <= 0) & ~is_partner) | itself, -torch.inf), partner)
