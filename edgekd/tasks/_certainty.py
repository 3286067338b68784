"""How sure an answer has to be before an app may trust it: one number of its scores, held against a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.tasks._base import Hits, Task


@dataclass(frozen=True)
class Certainty:
    """When an output's answer is sure.

    Attributes:
        by: which of the task's ``certainties`` is held against ``least``.
        temperature: scores are divided by it before they become probabilities, > 0 (Guo et al. 2017).
        least: answers are sure from it on; None: none is.
    """

    by: str
    temperature: float = 1.0
    least: float | None = None

    def sure(self, task: Task, scores: AnyArray) -> Hits:
        """(N,) of (N, K) scores."""
        if self.least is None:
            return np.zeros(len(scores), bool)
        return np.asarray(task.certainty(scores, self.by, self.temperature) >= self.least)

    def near(self, certainty: float, margin: float) -> bool:
        """Whether an answer of this certainty may be sure or not where each score moves by half of a margin.

        A lead moves by the whole of it then, an energy by half, and the log-odds of the best class, as which a
        probability near 1 is still told from the next, by the margin over the temperature.
        """
        if self.least is None:
            return False
        if self.by != "probability":
            return abs(certainty - self.least) < margin
        return abs(_log_odds(certainty) - _log_odds(self.least)) < margin / self.temperature


def _log_odds(logarithm: float) -> float:
    """Of a probability p, from log p <= 0."""
    return -math.log(math.expm1(-logarithm)) if logarithm < 0 else math.inf
