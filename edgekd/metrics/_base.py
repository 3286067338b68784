"""What a metric is: one number for a split, the larger the better."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[Any]
Labels = NDArray[np.int64]


class Metric(Protocol):
    """One file of ``metrics/``: a frozen dataclass whose fields are the keys of the recipe's ``metric``."""

    share: ClassVar[bool]
    """Whether a value is a share of samples, which a report shows in percent."""

    # A metric that is a mean over samples may also have ``each``, of the same arguments: (N,) what each sample gives.

    def __call__(self, scores: Scores, labels: Labels, raw: NDArray[Any]) -> float:
        """The value of a split.

        Args:
            scores: (N, C); labels: (N,) in 0..C-1, the teacher's answers where the data has none.
            raw: (N, ...) the raw samples, for metrics that look at what was asked.
        """
