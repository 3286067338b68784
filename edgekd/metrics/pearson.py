"""Linear correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._columns import correlation, mean_over


@dataclass(frozen=True)
class Pearson:
    """mean over c of Pearson's r of the values and their labels, -1..1; neither unit nor offset matters.

    Values whose labels are all alike are left out; of a student that says one number alone it is 0.
    """

    share: ClassVar[bool] = False
    normalised: ClassVar[bool] = True
    correlates: ClassVar[bool] = True
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "labels"

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        return mean_over(scores, wanted, correlation, 0.0)
