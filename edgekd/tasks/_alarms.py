"""Scores of how far something is from normal, and the threshold that keeps false alarms rare."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from edgekd.base.errors import EdgekdError
from edgekd.tasks._base import Task

NORMAL, ANOMALOUS = 0, 1
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Alarms(Task, ABC):
    """One score, of a sample or of each of its places; an anomaly from the threshold on.

    It is chosen on what is normal in validation, of the files that ship; until then nothing is decided, and files are
    compared by their scores.

    Attributes:
        false_alarms: share of what is normal that may be told to be an anomaly, 0 < a < 1.
        threshold: a score; absent: chosen by ``false_alarms``.
    """

    false_alarms: float = 0.05
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms < 1:
            raise ValueError("false_alarms: allowed is a share above 0 and below 1")
        if self.threshold is not None and not abs(self.threshold) <= LARGEST:
            raise ValueError("threshold: allowed is a number that float32 holds")

    @property
    def _cut(self) -> np.float32:
        """The threshold in the type of the scores, 0 while there is none."""
        return np.float32(0.0 if self.threshold is None else self.threshold)

    @property
    def constants(self) -> dict[str, float | list[float]]:
        """See ``Task``: the threshold as the scores are, float32; none while there is none."""
        return {} if self.threshold is None else {"cut": float(self._cut)}

    @property
    def chooses(self) -> bool:
        """See ``Task``."""
        return self.threshold is None

    def decided_at(self, thresholds: Sequence[float]) -> Self:
        """See ``Task``."""
        (threshold,) = thresholds
        return replace(self, threshold=threshold)

    def check_size(self, size: int, where: str, error: type[EdgekdError]) -> None:
        """See ``Task``."""
        if size != 1:
            raise error("one score a sample", where=where, found=f"{size} names", allowed="1, or none")
