"""What a metric is: one number for a split, the larger the better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Scores = AnyArray
Labels = NDArray[np.int64]
Against = Literal["labels", "teacher"]


class Metric(Protocol):
    """One file of ``metrics/``: a frozen dataclass whose fields are the keys of the recipe's ``metric``.

    It may say ``classifies``, too, a ClassVar: see the function of that name. Of a dense task it gets the places of all
    samples that have a label, N of them; with the ClassVar ``whole = True`` samples as they are, (N, P, C) scores and
    (N, P) labels, -1 and ``tasks.IGNORED`` where there is none.
    """

    share: ClassVar[bool]
    """Whether a value is a share of samples, which a report shows in percent."""
    against: ClassVar[Against]
    """What scores are held against: the labels (the teacher's answers where the data has none), or the teacher."""

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """The value of a split.

        Args:
            scores: (N, C), of one output.
            wanted: against labels, those of the output's task: (N,) in 0..C-1, or (N, C) rows; against the teacher,
                its scores, (N, C).
            raw: (N, ...) the raw samples, for metrics that look at what was asked.
        """


def classifies(metric: Metric) -> bool:
    """Whether scores stand for classes or labels; else they are values, as in regression.

    A recipe that names no task is of values where its metric is. A metric that does not say: it classifies where
    it is held against labels, or is a share of samples.
    """
    stated: bool | None = getattr(metric, "classifies", None)
    return (metric.against == "labels" or metric.share) if stated is None else stated


class PerSample(ABC):
    """A metric that is the mean of a value of each sample."""

    @abstractmethod
    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """(N,) the value of each sample; arguments as for ``Metric``."""

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        return float(self.per_sample(scores, wanted, raw).mean())
