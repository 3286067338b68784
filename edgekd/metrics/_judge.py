"""A metric at work: over every head of a task, with or without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.heads import Heads, answers, labels_of, split
from edgekd.metrics._base import Metric, Scores


@dataclass(frozen=True)
class Judge:
    """The recipe's metric; the values of several heads are averaged.

    Attributes:
        metric: of one head.
        heads: what the columns of the scores mean.
    """

    metric: Metric
    heads: Heads

    def __call__(
        self, scores: Scores, labels: NDArray[np.int64] | None, teacher: Scores | None, raw: NDArray[Any]
    ) -> float:
        """The value of a split.

        Args:
            scores: (N, C); labels: (N,) or (N, heads), or None: then the teacher's answers count as labels.
            teacher: (N, C), where there are no labels or the metric is held against the teacher.
            raw: (N, ...) raw samples.
        """
        return float(np.mean(list(self.by_head(scores, labels, teacher, raw).values())))

    def by_head(
        self, scores: Scores, labels: NDArray[np.int64] | None, teacher: Scores | None, raw: NDArray[Any]
    ) -> dict[str, float]:
        """The value of each head; see ``__call__``."""
        if self.metric.against == "teacher":
            assert teacher is not None
            said = split(teacher, self.heads)
            return {name: self.metric(part, said[name], raw) for name, part in split(scores, self.heads).items()}
        if labels is None:
            assert teacher is not None
            labels = answers(teacher, self.heads)
        found = {}
        for name, part in split(scores, self.heads).items():
            wanted = labels_of(labels, self.heads, name)
            assert wanted is not None
            found[name] = self.metric(part, wanted, raw)
        return found
