"""A figure of each column of (N, C) scores, over the samples whose label is known, and their mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Column = NDArray[np.float64]


def mean_over(
    scores: AnyArray, wanted: AnyArray, figure: Callable[[Column, Column], float | None], nothing: float
) -> float:
    """The mean over the columns.

    Args:
        scores, wanted: (N, C); NaN where a value is not known, of whole numbers -1.
        figure: of (n,) scores and (n,) labels, n > 0; None where these tell nothing, such as one label alone.
        nothing: what is said where no column tells anything.
    """
    figures = []
    for column in range(scores.shape[1]):
        y = np.asarray(wanted[:, column])
        known = ~np.isnan(y) if y.dtype.kind == "f" else y >= 0
        value = (
            figure(np.asarray(scores[known, column], np.float64), y[known].astype(np.float64)) if known.any() else None
        )
        figures += [] if value is None else [value]
    return float(np.mean(figures)) if figures else nothing


def correlation(one: Column, other: Column) -> float | None:
    """Pearson's r, -1..1; 0 where the scores are all alike, None where the labels are."""
    a, b = one - one.mean(), other - other.mean()
    if not b.any():
        return None
    size = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum() / size) if size > 0 else 0.0
