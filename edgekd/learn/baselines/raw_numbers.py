"""Tables and small pictures by their numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from edgekd.base.arrays import AnyArray


@dataclass(frozen=True)
class RawNumbers:
    """Logistic regression of a sample's numbers, each by its mean and spread."""

    words: ClassVar[str] = "logistic regression of the numbers as they are"

    def fitted(self, x: AnyArray, y: NDArray[np.int64], classes: int) -> Pipeline | None:
        """See ``Baseline``."""
        flat = FunctionTransformer(_flat)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 200 rounds are what it gets
            return make_pipeline(flat, StandardScaler(), LogisticRegression(C=0.1, max_iter=200)).fit(x, y)

    def table_bytes(self, model: Pipeline) -> int:
        """See ``Baseline``: mean and spread of each number, in float32."""
        return 4 * 2 * int(model[-2].mean_.size)


def _flat(x: AnyArray) -> NDArray[np.float64]:
    return x.reshape(len(x), -1).astype(np.float64)
