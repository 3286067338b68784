"""Mean squared difference from the teacher's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, PerSample, Scores


@dataclass(frozen=True)
class Mse(PerSample):
    """minus the mean over n and c of  (s_nc - t_nc)^2,  at most 0: as every metric here, the larger the better.

    For regression, whose data has no labels: what the student is to say is what the teacher says. ``max_drop`` is then
    the largest mean squared difference.
    """

    share: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "teacher"

    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``."""
        gap = scores.astype(np.float64) - wanted
        return -np.square(gap).mean(axis=1)
