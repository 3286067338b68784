"""Which samples of a batch make pairs, and the cosines of their vectors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-6  # a shorter vector counts as one of this length


class Pairs(NamedTuple):
    """(P,) the numbers of each pair's first and second sample, and its score, 0..1."""

    first: Tensor
    second: Tensor
    scores: Tensor


def pairs_of(labels: Tensor) -> Pairs:
    """The pairs of (N, 2) labels [pair, score] whose two samples are both there, and whose score is known."""
    known = (~labels.isnan().any(dim=1)).nonzero()[:, 0]
    known = known[torch.argsort(labels[known, 0], stable=True)]
    _, member, counts = torch.unique(labels[known, 0], return_inverse=True, return_counts=True)
    whole = known[counts[member] % 2 == 0]
    return Pairs(whole[::2], whole[1::2], labels[whole[::2], 1])


def unit(vectors: Tensor) -> Tensor:
    """(N, D) vectors of length 1."""
    return F.normalize(vectors, eps=LEAST)
