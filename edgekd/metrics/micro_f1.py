"""F1 over all labels together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._decided import counted, f1


@dataclass(frozen=True)
class MicroF1:
    """2 TP / (2 TP + FP + FN), 0..1, counted over every label of every sample: a frequent label counts the most.

    Of classes of which one is right it is the accuracy. Where no label applies, and none is said to, it is 0.
    """

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"
    decides: ClassVar[bool] = True

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        hits, wrong = counted(scores, wanted)
        figure = float(f1(hits.sum(), wrong.sum()))
        return 0.0 if math.isnan(figure) else figure
