"""Recorded answers in arrays: read in blocks, or left in their file and read there whenever they are fetched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.scores import answered
from edgekd.learn.answers import Answers, Index, Logits, blocks
from edgekd.teachers._cells import Numbers

Order = NDArray[np.int64]
Read = Callable[[NDArray[np.float64]], Logits]


def of_array(values: AnyArray | Numbers, order: Order, read: Read, where: str) -> Answers:
    """(N, K) what ``read`` makes of some columns of an array; of one that is mapped from a file it stays there.

    Args:
        order: (K,) which of the columns each class is.
        read: makes logits of (n, K) numbers, row by row.
        where: the file, for errors.

    Raises:
        DataError: as ``read`` does, of all rows.
    """
    if isinstance(values, np.memmap):
        return Mapped(values, order, read, where)
    rows = np.empty((len(values), len(order)), np.float32)
    for block, logits in _in_blocks(values, order, read):
        rows[block] = logits
    return rows


class Mapped:
    """(N, K) logits of an array that is mapped from a file, see ``learn.answers.Fetched``; arguments of ``of_array``.

    A file that another takes the place of is still read as it was. One that is written to holds other numbers than were
    checked and stand in keys: that is an error.

    Raises:
        DataError: as ``read`` does; of rows that are fetched: the file was written to.
    """

    def __init__(self, values: np.memmap, order: Order, read: Read, where: str) -> None:
        self._values, self._order, self._read, self._where = values, order, read, where
        self._state = _state(values)
        self._has_answer = np.ones(len(values), np.bool_)
        self.shape = (len(values), len(order))
        for block, logits in _in_blocks(values, order, read):
            self._has_answer[block] = answered(logits)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index | slice) -> Logits:
        state = _state(self._values)
        if state[:2] == self._state[:2] and state != self._state:
            hint = "write to another file and rename it"
            raise DataError("written to while it is read", where=self._where, hint=hint)
        return self._read(_numbers(self._values[index], self._order))

    def answered(self) -> NDArray[np.bool_]:
        """See ``Fetched``."""
        return self._has_answer


def _state(values: np.memmap) -> tuple[int, ...]:
    """Which file the name of a mapped one leads to, its size, and when it was written; () where there is none."""
    try:
        facts = os.stat(str(values.filename))
    except OSError:
        return ()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _in_blocks(values: AnyArray | Numbers, order: Order, read: Read) -> Iterator[tuple[slice, Logits]]:
    """The logits of all rows, of which only a block is ever there in float64.

    Raises:
        DataError: as ``read`` does, of all rows.
    """
    try:
        for block in blocks((len(values), values.shape[1])):
            yield block, read(_numbers(values[block], order))
    except DataError:
        read(_numbers(values, order))  # with the places in the whole, and how many there are
        raise


def _numbers(values: AnyArray | Numbers, order: Order) -> NDArray[np.float64]:
    return np.asarray(values)[:, order].astype(np.float64)
