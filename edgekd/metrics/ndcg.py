"""Normalised discounted cumulative gain of the first k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Labels, PerSample, Scores
from edgekd.metrics._ranking import ranks


@dataclass(frozen=True)
class Ndcg(PerSample):
    """mean over n of  1 / log2(2 + rank)  where the label's rank (0: best) is below k, else 0

    (Järvelin and Kekäläinen 2002, for one relevant item a sample).

    Attributes:
        k: 1 or more.
        leave_seen: samples are a user and its history, whole numbers: items in there don't compete.
    """

    share: ClassVar[bool] = False
    normalised: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"
    k: int = 10
    leave_seen: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError("k: allowed is 1 or more")

    def per_sample(self, scores: Scores, wanted: Labels, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``."""
        label_ranks = ranks(scores, wanted, raw if self.leave_seen else None)
        return np.where(label_ranks < self.k, 1 / np.log2(2.0 + label_ranks), 0.0)
