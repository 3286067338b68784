"""Triplets: whether the one that belongs to a sample is nearer to it than the one that does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, PerSample, Scores
from edgekd.tasks import triplets_of, unit_vectors


@dataclass(frozen=True)
class TripletAccuracy(PerSample):
    """The share of the triplets whose positive is nearer to their anchor than their negative is, by cosine, 0..1 (the
    accuracy of Reimers and Gurevych 2019, arXiv:1908.10084, section 4.4).

    An anchor of several negatives has as many triplets. Equal cosines are out of order. Without a triplet 0.
    """

    share: ClassVar[bool] = True
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "labels"
    vectors: ClassVar[bool] = True
    partly: ClassVar[bool] = True
    triplets: ClassVar[bool] = True

    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """See ``PerSample``: 1 of a negative that is farther away than the positive, 0 of one that is not, NaN of other
        samples; wanted: (N, 2) of triplets and roles.
        """
        anchor, positive, negative = triplets_of(wanted)
        vectors = unit_vectors(scores)
        near, far = ((vectors[anchor] * vectors[other]).sum(axis=1) for other in (positive, negative))
        hits = np.full(len(scores), np.nan)
        hits[negative] = near > far
        return hits
