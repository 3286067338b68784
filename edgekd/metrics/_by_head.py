"""Several heads of different tasks, each with a metric of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekd.base.errors import RecipeError
from edgekd.metrics._base import Against, Metric, normalised


@dataclass(frozen=True)
class ByHead:
    """The metric of each head; a student's value is the mean of theirs.

    Attributes:
        of: by the head's name.

    Raises:
        RecipeError: they are of several kinds, and some of another unit than 1: a mean of such values says nothing.
    """

    of: Mapping[str, Metric]

    def __post_init__(self) -> None:
        odd = {name: type(metric).__name__ for name, metric in self.of.items() if not normalised(metric)}
        if odd and len({type(metric) for metric in self.of.values()}) > 1:
            allowed = "metrics without a unit, of which 1 is the best, or one for all heads: their mean is what counts"
            raise RecipeError("metrics that have no mean", where="heads", found=odd, allowed=allowed)

    @property
    def share(self) -> bool:
        """See ``Metric``."""
        return all(metric.share for metric in self.of.values())

    @property
    def against(self) -> Against:
        """What some head's is held against: labels, where there is one such head."""
        return "labels" if any(metric.against == "labels" for metric in self.of.values()) else "teacher"


def of_head(metric: Metric | ByHead, name: str) -> Metric:
    """The metric of one head."""
    return metric.of[name] if isinstance(metric, ByHead) else metric


def needs_teacher(metric: Metric | ByHead) -> bool:
    """Whether it is held against the teacher, or one head's is."""
    every = metric.of.values() if isinstance(metric, ByHead) else [metric]
    return any(one.against == "teacher" for one in every)
