"""A teacher's answers as they are read: an array in memory, or rows that are fetched when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgekd.base.scores import answered

Logits = NDArray[np.float32]
Index = NDArray[np.int64]
BLOCK = 65_536  # rows that are read at once where all are looked at


class Fetched(Protocol):
    """(N, K) float32 logits that do not lie in memory as such; NaN where there is no answer."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Index | slice) -> Logits:
        """The rows of some samples, by number, as a new array."""

    def answered(self) -> NDArray[np.bool_]:
        """(N,) which samples have an answer."""


Answers = Logits | Fetched


def whole(answers: Answers) -> Logits:
    """All rows, in memory."""
    return answers if isinstance(answers, np.ndarray) else answers[:]


def have_answer(answers: Answers, columns: slice | None = None) -> NDArray[np.bool_]:
    """(N,) which samples have an answer: in all columns, or in those of one head of several."""
    if isinstance(answers, np.ndarray):
        return answered(answers if columns is None else answers[:, columns])
    complete, width = answers.answered(), answers.shape[1]
    if columns is None or complete.all() or columns.indices(width) == (0, width, 1):
        return complete
    starts = range(0, len(answers), BLOCK)
    return np.concatenate([answered(answers[start : start + BLOCK][:, columns]) for start in starts])


class Combined:
    """Several teachers' answers to the same samples, made one when rows are fetched.

    Args:
        parts: of each teacher, its own number of columns.
        combine: from the rows of each to the (n, C) rows of all; row by row, so that it knows no other sample.
        columns: C.
    """

    def __init__(self, parts: Sequence[Answers], combine: Callable[[Sequence[Logits]], Logits], columns: int) -> None:
        self._parts, self._combine = parts, combine
        self.shape = (len(parts[0]), columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index | slice) -> Logits:
        return self._combine([part[index] for part in self._parts])

    def answered(self) -> NDArray[np.bool_]:
        """See ``Fetched``."""
        starts = range(0, len(self), BLOCK)
        return np.concatenate([answered(self[start : start + BLOCK]) for start in starts])
