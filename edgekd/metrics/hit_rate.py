"""How often the label is among the first k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.metrics._base import Labels, Scores
from edgekd.metrics._ranking import ranks


@dataclass(frozen=True)
class HitRate:
    """Share of samples whose label is among the k best scores, 0..1. What the user knows already doesn't compete.

    Attributes:
        k: 1 or more.
    """

    share: ClassVar[bool] = True
    k: int = 10

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError("k: allowed is 1 or more")

    def __call__(self, scores: Scores, labels: Labels, raw: NDArray[Any]) -> float:
        """See ``Metric``."""
        return float(np.mean(self.each(scores, labels, raw)))

    def each(self, scores: Scores, labels: Labels, raw: NDArray[Any]) -> NDArray[np.float64]:
        """(N,) 1 where the label is among the first k, else 0."""
        return (ranks(scores, labels, raw) < self.k).astype(np.float64)
