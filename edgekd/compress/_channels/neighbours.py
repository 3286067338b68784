"""Norms over neighbouring channels, of a network that has lost some: those that are left keep their places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def response_norm(
    stay: Sequence[int], x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """What ``torch.nn.functional.local_response_norm`` answers where the channels that have gone are zeros.

    Args:
        stay: the places that the channels of x had in the whole network.
        x: (N, C, ...); the others as torch's.
    """
    places = torch.tensor(stay, device=x.device)
    apart = places[None] - places[:, None]
    beside = ((apart >= -(size // 2)) & (apart <= (size - 1) // 2)).to(x.dtype)
    sums = (beside @ x.square().flatten(2)).view_as(x)
    return x / (sums * (alpha / size) + k) ** beta
