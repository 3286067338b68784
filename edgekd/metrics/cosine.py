"""How far vectors point where the teacher's do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, PerSample, Scores

TINY = 1e-12


@dataclass(frozen=True)
class Cosine(PerSample):
    """mean over n of  s_n . t_n / (|s_n| |t_n|),  -1..1: the cosine of the student's and the teacher's vectors.

    Of a vector of zeros, which has no direction, 0. ``max_drop`` is then what the mean may lack of 1.
    """

    share: ClassVar[bool] = False
    normalised: ClassVar[bool] = True
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "teacher"

    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``."""
        s, t = scores.astype(np.float64), wanted.astype(np.float64)
        lengths = np.linalg.norm(s, axis=1) * np.linalg.norm(t, axis=1)
        return np.asarray(np.clip((s * t).sum(axis=1) / np.maximum(lengths, TINY), -1.0, 1.0))
