"""Tags of words as labels of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.base.preprocess import Op
from edgekd.base.text_words import spans, words_of
from edgekd.base.wordpiece import Vocabulary
from edgekd.learn.data._base import Split
from edgekd.tasks import IGNORED

Labels = NDArray[np.int64]


def check_counts(texts: Iterable[str], labels: Labels, place: Callable[[int], str]) -> None:
    """Raise DataError where a text has not as many tags as words.

    Args:
        labels: (N, W) a row of numbers, ``IGNORED`` behind the last; place: names a sample.
    """
    counts = (labels != IGNORED).sum(axis=1)
    for i, text in enumerate(texts):
        if (words := sum(1 for _ in spans(text))) != counts[i]:
            what = "another number of tags than words"
            raise DataError(what, where=place(i), found=int(counts[i]), allowed=f"{words}, one for each word")


def of_tokens(texts: Iterable[str], labels: Labels, op: Op) -> Labels:
    """(N, T) labels of the tokens of texts: a word's at its first token, ``IGNORED`` at all others.

    Args:
        labels: (N, W) of the words.
        op: the wordpiece op, which cuts texts to T tokens.
    """
    vocabulary, length = Vocabulary.of(op["vocabulary"]), int(op["length"])
    rows = np.full((len(labels), length), IGNORED, np.int64)
    for row, tags, text in zip(rows, labels, texts, strict=True):
        for word, tag in zip(words_of(text, vocabulary, length, op["lower"]), tags, strict=False):
            if word.token is not None:
                row[word.token] = tag
    return rows


def split_of_tokens(split: Split, op: Op) -> Split:
    """A split whose labels are of words, with labels of tokens."""
    return split if split.y is None else replace(split, y=of_tokens(split.x, split.y, op))
