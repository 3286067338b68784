"""Area under the ROC curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.scores import log_softmax
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._columns import mean_over
from edgekd.metrics._hits import area_of_resamples, area_under_roc

NOTHING = 0.5  # of one class alone


@dataclass(frozen=True)
class Auc:
    """The chance that a sample of a class has a higher score for it than one of another, 0..1 (0.5: no idea).

    Of two classes: of the second against the first. Of more, by their shares, and of labels of which several may apply:
    the mean over those that are there and not everywhere, each against the rest. One class alone gives 0.5.
    """

    share: ClassVar[bool] = False
    normalised: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        if wanted.ndim == 1 and scores.shape[1] == 2:
            scores, wanted = scores[:, 1:] - scores[:, :1], (wanted == 1)[:, None]
        elif wanted.ndim == 1:  # what is added to all scores of a sample says nothing, and ranks samples
            scores, wanted = log_softmax(scores), wanted[:, None] == np.arange(scores.shape[1])
        return mean_over(scores, wanted, area_under_roc, NOTHING)

    def resampled(self, scores: Scores, wanted: AnyArray) -> Callable[[NDArray[np.int64]], float]:
        """See ``Resampling``: within 0.0005 where few places are hits."""
        return area_of_resamples(scores, wanted, NOTHING)
