"""Texts by the words that they hold."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from edgekd.base.arrays import AnyArray

MOST_WEIGHTS = 3_000_000  # classes x words


@dataclass(frozen=True)
class WordCounts:
    """TF-IDF of words and of pairs of words, with logistic regression."""

    words: ClassVar[str] = "TF-IDF of words and logistic regression"

    def fitted(self, x: AnyArray, y: NDArray[np.int64], classes: int) -> Pipeline | None:
        """See ``Baseline``."""
        counts = TfidfVectorizer(
            token_pattern=r"(?u)\b\w+\b",  # words of one letter, too: of proteins there are no others
            ngram_range=(1, 2),
            sublinear_tf=True,
            max_features=min(50_000, MOST_WEIGHTS // classes),
            dtype=np.float32,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 200 rounds are what it gets
            try:
                return make_pipeline(counts, LogisticRegression(C=10.0, max_iter=200)).fit(x, y)
            except ValueError:
                return None  # texts without a word: of marks alone

    def table_bytes(self, model: Pipeline) -> int:
        """See ``Baseline``: its words, and how rare each is in float32."""
        known: dict[str, int] = model[-2].vocabulary_
        return 4 * len(known) + sum(len(word.encode()) + 1 for word in known)
