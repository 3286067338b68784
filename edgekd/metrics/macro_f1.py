"""The mean of the classes' F1, which a rare class counts in as much as a common one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._decided import counted, f1


@dataclass(frozen=True)
class MacroF1:
    """mean over classes, or labels, of  2 TP / (2 TP + FP + FN), 0..1.

    One that is neither there nor answered is left out; where all are it is 0.
    """

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"
    decides: ClassVar[bool] = True

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        figures = f1(*counted(scores, wanted))
        return float(np.nanmean(figures)) if not np.isnan(figures).all() else 0.0
