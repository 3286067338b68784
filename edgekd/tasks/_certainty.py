"""How sure an answer has to be before an app may trust it: one number of its scores, held against a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.tasks._base import Floats, Hits, Task
from edgekd.tasks._class_distance import ClassDistance

DISTANCE = "distance"  # of classes of which one is right, whatever else their task can be told by


def certainties_of(task: Task) -> tuple[str, ...]:
    """By which numbers its answers can be told to be sure; (): they can't."""
    return (*task.certainties, DISTANCE) if task.certainties and task.exclusive else task.certainties


@dataclass(frozen=True)
class Certainty:
    """When an output's answer is sure.

    Attributes:
        by: which of ``certainties_of`` its task is held against ``least``.
        temperature: scores are divided by it before they become probabilities, > 0 (Guo et al. 2017).
        least: answers are sure from it on; None: none is.
        distance: what ``DISTANCE`` is computed with; None where another is meant, or nothing is sure.
    """

    by: str
    temperature: float = 1.0
    least: float | None = None
    distance: ClassDistance | None = None

    def values(self, task: Task, scores: AnyArray) -> Floats:
        """(N,) how sure a net is of its answers, of (N, K) scores, the larger the surer; alike where there is nothing
        to tell a distance by."""
        if self.distance is not None:
            return self.distance.nearness(scores)
        if self.by == DISTANCE:
            return np.zeros(len(scores))
        return task.certainty(scores, self.by, self.temperature)

    def sure(self, task: Task, scores: AnyArray) -> Hits:
        """(N,) of (N, K) scores."""
        if self.least is None:
            return np.zeros(len(scores), bool)
        return np.asarray(self.values(task, scores) >= self.least)

    def near(self, task: Task, scores: AnyArray, margin: float) -> bool:
        """Whether one sample's (K,) scores may be sure or not where each moves by half of a margin.

        A lead moves by the whole of it then, an energy by half, and the log-odds of the best class, as which a
        probability near 1 is still told from the next, by the margin over the temperature.
        """
        if self.least is None:
            return False
        if self.distance is not None:
            low, high = self.distance.bounds(scores, margin / 2)
            return low < self.least <= high
        certainty = float(self.values(task, scores[None])[0])
        if self.by != "probability":
            return abs(certainty - self.least) < margin
        return abs(_log_odds(certainty) - _log_odds(self.least)) < margin / self.temperature


def _log_odds(logarithm: float) -> float:
    """Of a probability p, from log p <= 0."""
    return -math.log(math.expm1(-logarithm)) if logarithm < 0 else math.inf
