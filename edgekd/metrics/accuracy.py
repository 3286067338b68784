"""Accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Labels, PerSample, Scores


@dataclass(frozen=True)
class Accuracy(PerSample):
    """Share of samples whose best score is the label's, 0..1."""

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"

    def per_sample(self, scores: Scores, wanted: Labels, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``."""
        return (scores.argmax(1) == wanted).astype(np.float64)
