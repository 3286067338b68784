"""Mean intersection over union."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._decided import confusion


@dataclass(frozen=True)
class Miou:
    """mean over classes of  TP / (TP + FP + FN), 0..1, each counted over the places of all samples together
    (Everingham et al. 2010, doi:10.1007/s11263-009-0275-4, section 4.1.3).

    A class that is neither there nor answered is left out. Where the scores of a place are equal, it is of the first.
    """

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"
    whole: ClassVar[bool] = True

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``: scores (N, P, C) or (N, C), labels (N, P) or (N,), below 0 where a place has none."""
        return _of(confusion(scores, wanted))

    def resampled(self, scores: Scores, wanted: AnyArray) -> Callable[[NDArray[np.int64]], float]:
        """See ``Resampling``: each sample's places are counted once, and a resample adds the counts."""
        counts = np.stack([confusion(one[None], labels[None]) for one, labels in zip(scores, wanted, strict=True)])
        return lambda index: _of(counts[index].sum(axis=0))


def _of(counts: NDArray[np.int64]) -> float:
    """Of (C, C) counts of places, by label and answer."""
    hits = np.diag(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hits
    return float((hits[union > 0] / union[union > 0]).mean()) if union.any() else 0.0
