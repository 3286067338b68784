"""Mean absolute error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, PerSample, Scores, row_means


@dataclass(frozen=True)
class Mae(PerSample):
    """minus the mean over n, and over the values c that are known of n, of  |s_nc - y_nc|, at most 0: as every metric
    here, the larger the better. In the unit of the labels; ``max_drop`` is in it, too. A sample of which nothing is
    known is left out.
    """

    share: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "labels"
    partly: ClassVar[bool] = True

    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``: NaN of a sample of which nothing is known."""
        gaps = np.abs(scores.astype(np.float64) - wanted)
        return -row_means(gaps, ~np.isnan(wanted))
