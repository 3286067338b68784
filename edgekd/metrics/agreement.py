"""Agreement with the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, PerSample, Scores


@dataclass(frozen=True)
class Agreement(PerSample):
    """Share of samples whose best score is the teacher's, 0..1, whether or not the data has labels."""

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "teacher"

    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``."""
        return (scores.argmax(1) == wanted.argmax(1)).astype(np.float64)
