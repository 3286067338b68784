"""Accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.metrics._base import Labels, Scores


@dataclass(frozen=True)
class Accuracy:
    """Share of samples whose best score is the label's, 0..1."""

    share: ClassVar[bool] = True

    def __call__(self, scores: Scores, labels: Labels, raw: NDArray[Any]) -> float:
        """See ``Metric``."""
        return float(np.mean(self.each(scores, labels, raw)))

    def each(self, scores: Scores, labels: Labels, raw: NDArray[Any]) -> NDArray[np.float64]:
        """(N,) 1 where the best score is the label's, else 0."""
        return (scores.argmax(1) == labels).astype(np.float64)
