"""What a metric is: one number for a split, the larger the better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Scores = AnyArray
Labels = NDArray[np.int64]
Against = Literal["labels", "teacher"]


class Metric(Protocol):
    """One file of ``metrics/``: a frozen dataclass whose fields are the keys of the recipe's ``metric``.

    It may say ``classifies``, ``normalised`` and ``decides``, too, ClassVars: see the functions of these names. Of a
    dense task it gets the places of all samples that have a label, N of them; with the ClassVar ``whole = True``
    samples as they are, (N, P, C) scores and (N, P) labels, -1 and ``tasks.IGNORED`` where there is none.
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


def normalised(metric: Metric) -> bool:
    """Whether a value has no unit and 1 is the best: values of several such metrics have a mean, of others none.

    A metric that does not say: where it is a share of samples.
    """
    return bool(getattr(metric, "normalised", metric.share))


def sees_vectors(metric: Metric) -> bool:
    """Whether a metric is given vectors and the labels of pairs as they are, and not the pairs' cosines.

    It says so in ``vectors``, a ClassVar.
    """
    return bool(getattr(metric, "vectors", False))


def needs_triplets(metric: Metric) -> bool:
    """Whether a metric says nothing of data that names no triplets. It says so in ``triplets``, a ClassVar."""
    return bool(getattr(metric, "triplets", False))


def correlates(metric: Metric) -> bool:
    """Whether a metric says nothing of labels that are all alike. It says so in ``correlates``, a ClassVar."""
    return bool(getattr(metric, "correlates", False))


def decides(metric: Metric) -> bool:
    """Whether a metric is of labels that apply, those whose score is 0 or above: it depends on thresholds, and where a
    task chooses them on validation each network is judged at its own. It says so in ``decides``, a ClassVar."""
    return bool(getattr(metric, "decides", False))


class PerSample(ABC):
    """A metric that is the mean of a value of each sample."""

    partly: ClassVar[bool] = False
    """Whether some samples may tell nothing: their value is NaN, and the mean is that of the others."""

    @abstractmethod
    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> NDArray[np.float64]:
        """(N,) the value of each sample; arguments as for ``Metric``."""

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        values = self.per_sample(scores, wanted, raw)
        return mean_of(values) if self.partly else float(values.mean())


@runtime_checkable
class Resampling(Protocol):
    """A ``Metric`` of places, of which a split may have millions, that tells resamples' values faster than anew."""

    def resampled(self, scores: Scores, wanted: AnyArray) -> Callable[[NDArray[np.int64]], float]:
        """The value of the samples of some numbers, one drawn twice counted twice, near enough for an interval.

        Args:
            scores: (N, P), one at each place, or of a metric of samples as wholes (``whole``) (N, P, C).
            wanted: (N, P), -1 where nobody knows.
        """


def row_means(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) the mean of each row's (N, C) values, of those that are known; NaN where none is."""
    counts = known.sum(axis=1)
    return np.where(counts > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def mean_of(values: NDArray[np.float64]) -> float:
    """The mean of those of (N,) values that are no NaN; 0 where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
