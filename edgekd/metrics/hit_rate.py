"""How often the label is among the first k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Labels, PerSample, Scores
from edgekd.metrics._ranking import ranks


@dataclass(frozen=True)
class HitRate(PerSample):
    """Share of samples whose label is among the k best scores, 0..1.

    Attributes:
        k: 1 or more.
        leave_seen: samples are a user and its history, whole numbers: items in there don't compete.
    """

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"
    k: int = 10
    leave_seen: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError("k: allowed is 1 or more")

    def per_sample(self, scores: Scores, wanted: Labels, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``."""
        return (ranks(scores, wanted, raw if self.leave_seen else None) < self.k).astype(np.float64)
