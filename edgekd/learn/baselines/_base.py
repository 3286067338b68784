"""What a build asks of a plain model, and the scores of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.preprocess import LARGEST

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

AT_ONCE = 2_000  # samples that are predicted together


class Baseline(Protocol):
    """A frozen dataclass.

    Attributes:
        words: what the report calls it.
    """

    words: ClassVar[str]

    def fitted(self, x: AnyArray, y: NDArray[np.int64], classes: int) -> Pipeline | None:
        """One that learned raw samples and their classes; None where they hold nothing that it could learn."""

    def table_bytes(self, model: Pipeline) -> int:
        """Of what a fitted one looks up, beside the weights of its classes."""


def scores_of(model: Pipeline, x: Samples, classes: int) -> NDArray[np.float32]:
    """(N, classes) of a fitted one: logarithms of shares; classes that training did not show are never chosen."""
    scores = np.full((len(x), classes), -LARGEST, np.float32)
    for start in range(0, len(x), AT_ONCE):
        part = np.asarray(x[start : start + AT_ONCE])
        scores[start : start + len(part), model[-1].classes_] = np.maximum(model.predict_log_proba(part), -LARGEST)
    return scores
