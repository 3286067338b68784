"""Which samples of a batch make pairs and triplets, and the cosines of their vectors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd import tasks

LEAST = 1e-6  # a shorter vector counts as one of this length


class Pairs(NamedTuple):
    """(P,) the numbers of each pair's first and second sample, and its score, 0..1."""

    first: Tensor
    second: Tensor
    scores: Tensor


class Candidates(NamedTuple):
    """Who looks for whom in a batch, by number of the batch.

    Attributes:
        queries: (Q,) both samples of each pair that belongs together.
        partner: (Q,) the place of each one's partner among all.
        every: (J,) the queries, in their order, and behind them the negatives of triplets.
        itself: (Q, J) where one meets itself.
    """

    queries: Tensor
    partner: Tensor
    every: Tensor
    itself: Tensor


class Triplets(NamedTuple):
    """(T,) the numbers of each triplet's samples."""

    anchor: Tensor
    positive: Tensor
    negative: Tensor


def pairs_of(labels: Tensor) -> Pairs:
    """The pairs of (N, 2) labels whose samples are both there, and whose score is known: see ``tasks.pairs_of``."""
    first, second, scores = tasks.pairs_of(labels.detach().cpu().numpy())
    one, other = (torch.as_tensor(samples, device=labels.device) for samples in (first, second))
    return Pairs(one, other, torch.as_tensor(scores, dtype=labels.dtype, device=labels.device))


def triplets_of(labels: Tensor) -> Triplets:
    """The triplets of (N, 2) labels whose samples are all there: see ``tasks.triplets_of``."""
    by_role = tasks.triplets_of(labels.detach().cpu().numpy())
    return Triplets(*(torch.as_tensor(samples, device=labels.device) for samples in by_role))


def candidates(labels: Tensor, positive: float) -> Candidates:
    """The samples of pairs whose score is at least ``positive``, each of which looks for its partner among all, and
    among the negatives of triplets; ``labels``: (N, 2).
    """
    first, second, scores = pairs_of(labels)
    together = scores >= positive
    queries = torch.cat([first[together], second[together]])
    every = torch.cat([queries, triplets_of(labels).negative])
    places = torch.arange(len(queries), device=labels.device)
    itself = torch.eye(len(queries), len(every), dtype=torch.bool, device=labels.device)
    return Candidates(queries, places.roll(len(queries) // 2), every, itself)


def margins(vectors: Tensor, triplets: Triplets) -> Tensor:
    """(T,) by how much the cosine of anchor and positive exceeds that of anchor and negative, -2..2."""
    anchor, positive, negative = (unit(vectors)[samples] for samples in triplets)
    return (anchor * (positive - negative)).sum(dim=1)


def unit(vectors: Tensor) -> Tensor:
    """(N, D) vectors of length 1."""
    return F.normalize(vectors, eps=LEAST)
