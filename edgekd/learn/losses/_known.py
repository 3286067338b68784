"""Means over labels of which some are not known."""

from __future__ import annotations

from torch import Tensor


def row_means(values: Tensor, known: Tensor) -> Tensor:
    """(N,) the mean of each row's (N, C) values, of those that are known; 0 where none is.

    A value that is not known has no gradient, even where it is NaN.
    """
    kept = values.masked_fill(~known, 0.0)
    return kept.sum(dim=1) / known.sum(dim=1).clamp_min(1)
