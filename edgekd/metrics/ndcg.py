"""Normalised discounted cumulative gain of the first k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.metrics._base import Labels, Scores
from edgekd.metrics._ranking import ranks


@dataclass(frozen=True)
class Ndcg:
    """mean over n of  1 / log2(2 + rank)  where the label's rank (0: best) is below k, else 0

    (Järvelin and Kekäläinen 2002, for one relevant item a sample). Items that the user knows already don't compete.

    Attributes:
        k: 1 or more.
    """

    share: ClassVar[bool] = False
    k: int = 10

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError("k: allowed is 1 or more")

    def __call__(self, scores: Scores, labels: Labels, raw: NDArray[Any]) -> float:
        """See ``Metric``."""
        return float(np.mean(self.each(scores, labels, raw)))

    def each(self, scores: Scores, labels: Labels, raw: NDArray[Any]) -> NDArray[np.float64]:
        """(N,) the gain of each sample's label."""
        found = ranks(scores, labels, raw)
        return np.where(found < self.k, 1 / np.log2(2.0 + found), 0.0)
