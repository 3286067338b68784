"""The share of the labels' variance that values explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._columns import Column, mean_over


@dataclass(frozen=True)
class R2:
    """mean over c of  1 - sum over n of (s_nc - y_nc)^2 / sum over n of (y_nc - mean y_c)^2, at most 1.

    0 says as much as the mean of the labels does; below 0 it says less. Values whose labels are all alike are left out.
    """

    share: ClassVar[bool] = False
    normalised: ClassVar[bool] = True
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "labels"

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        return mean_over(scores, wanted, _explained, 0.0)


def _explained(scores: Column, labels: Column) -> float | None:
    spread = float(np.square(labels - labels.mean()).sum())
    return 1 - float(np.square(scores - labels).sum()) / spread if spread > 0 else None
