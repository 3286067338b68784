"""The area under precision over recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.scores import log_softmax
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._columns import mean_over
from edgekd.metrics._hits import area_under_precision


@dataclass(frozen=True)
class AveragePrecision:
    """mean over labels of  sum over k of (R_k - R_k-1) P_k, 0..1: precision and recall of the k highest scores.

    No threshold plays a part. A label that applies to no sample is left out; of classes each is held against the rest,
    by its share.
    """

    share: ClassVar[bool] = False
    normalised: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        if wanted.ndim > 1:
            return mean_over(scores, wanted, area_under_precision, 0.0)
        is_right = (wanted[:, None] == np.arange(scores.shape[1])).astype(np.int64)
        return mean_over(log_softmax(scores), is_right, area_under_precision, 0.0)
