"""The mean of the classes' F1, which a rare class counts in as much as a common one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.metrics import f1_score

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Labels, Scores


@dataclass(frozen=True)
class MacroF1:
    """mean over classes of  2 TP / (2 TP + FP + FN), 0..1; a class that is neither there nor answered is left out."""

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"

    def __call__(self, scores: Scores, wanted: Labels, raw: AnyArray) -> float:
        """See ``Metric``."""
        answers = scores.argmax(1)
        present = np.union1d(wanted, answers)
        return float(f1_score(wanted, answers, labels=present, average="macro", zero_division=0.0))
