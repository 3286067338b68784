"""Several heads of different tasks, each with a metric of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekd.base.errors import RecipeError
from edgekd.metrics._base import Against, Metric


@dataclass(frozen=True)
class ByHead:
    """The metric of each head; a student's value is the mean of theirs.

    Attributes:
        of: by the head's name.

    Raises:
        RecipeError: some are held against the labels and others against the teacher, or some alone are shares: a mean
            of such values says nothing.
    """

    of: Mapping[str, Metric]

    def __post_init__(self) -> None:
        for key in ("against", "share"):
            stated = {name: getattr(metric, key) for name, metric in self.of.items()}
            if len({*stated.values()}) > 1:
                allowed = f"metrics that say the same of {key!r}: the recipe's value is their mean"
                raise RecipeError("metrics that have no mean", where="heads", found=stated, allowed=allowed)

    @property
    def share(self) -> bool:
        """See ``Metric``."""
        return all(metric.share for metric in self.of.values())

    @property
    def against(self) -> Against:
        """See ``Metric``."""
        return next(iter(self.of.values())).against


def of_head(metric: Metric | ByHead, name: str) -> Metric:
    """The metric of one head."""
    return metric.of[name] if isinstance(metric, ByHead) else metric
