"""A teacher's answers as they are read: an array in memory, or rows that are fetched when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgekd.base.scores import answered

Logits = NDArray[np.float32]
Index = NDArray[np.int64]
BLOCK = 65_536  # rows that are read at once where all are looked at, at most,
NUMBERS = 250_000  # and numbers: rows of many classes are long


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
    return np.concatenate([answered(answers[block][:, columns]) for block in blocks(answers.shape)])


def blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """The rows of (N, K) numbers in turn, as many at once as are not large; one slice at least."""
    rows = min(BLOCK, max(NUMBERS // max(shape[1], 1), 1))
    return (slice(start, start + rows) for start in range(0, max(shape[0], 1), rows))


def numbers(index: Index | slice, count: int) -> Index:
    """The numbers of some of so many rows, from 0; negative ones of an index count from the end.

    Raises:
        IndexError: a number of no row.
    """
    if isinstance(index, slice):
        return np.arange(*index.indices(count))
    each: Index = np.where(index < 0, index + count, index)
    if len(each) and not (each.min() >= 0 and each.max() < count):
        raise IndexError(f"sample {int(each.max())} of {count}")
    return each


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
        return np.concatenate([answered(self[block]) for block in blocks(self.shape)])


class Picked:
    """Rows of other answers, which are fetched when they are asked for.

    Args:
        parts: answers, whose rows are counted through from the first part to the last.
        rows: (N,) of each sample the number of its row, which is an answer; -1: it has none.
        columns: K.
    """

    def __init__(self, parts: Sequence[Answers], rows: Index, columns: int) -> None:
        self._parts, self._rows = parts, rows
        self.shape = (len(rows), columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index | slice) -> Logits:
        rows, first = self._rows[index], 0
        picked: Logits | None = None
        for part in self._parts:
            inside = np.flatnonzero((rows >= first) & (rows < first + len(part)))
            if len(inside) == len(rows) > 0:
                return part[rows - first]
            if len(inside):
                picked = self._of_none(len(rows)) if picked is None else picked
                picked[inside] = part[rows[inside] - first]
            first += len(part)
        return self._of_none(len(rows)) if picked is None else picked

    def _of_none(self, count: int) -> Logits:
        return np.full((count, self.shape[1]), np.nan, np.float32)

    def answered(self) -> NDArray[np.bool_]:
        """See ``Fetched``."""
        return self._rows >= 0
