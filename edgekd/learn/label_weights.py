"""How much each label of a training counts, where they do not count alike: a mixed view has two samples' labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edgekd.learn.feed import Feed
from edgekd.learn.objective import Weighed


def of_batch(feed: Feed, view: int, index: NDArray[np.int64], device: torch.device) -> list[Weighed]:
    """The labels of some training samples as a view shows them, with their weights; none where all count alike.

    Args:
        index: (N,) the samples' numbers.
    """
    labels, mixture = feed.labels("train"), feed.mixture(view, index)
    if labels is None or mixture is None:
        return []
    shares = [(index, mixture.coefficient), (mixture.partners, 1 - mixture.coefficient)]
    return [_tensors(labels[samples], weights, device) for samples, weights in shares]


def _tensors(labels: NDArray[np.int64], weights: NDArray[np.float64], device: torch.device) -> Weighed:
    each = np.broadcast_to(weights.reshape(-1, *[1] * (labels.ndim - 1)), labels.shape)
    return torch.tensor(labels, device=device), torch.tensor(each, dtype=torch.float32, device=device)
