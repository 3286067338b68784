"""Rows that say something of a few classes each: the best few labels, votes. They stay as small as they are written."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.base.ragged import Ragged, ends, rows_of
from edgekd.learn.answers import Index, Logits
from edgekd.learn.sparse_answers import Sparse
from edgekd.teachers._base import first
from edgekd.teachers._columns import Columns

ROUNDED = 0.005  # what a share of two decimals may be off
SLACK, MOST_SLACK = 1e-3, 0.05  # by which shares may miss their sum, which is made 1: at least, and at most
SUMMED = 1_000_000  # numbers of whole rows that are there at once, to add them
TINY = float(np.finfo(np.float32).tiny)
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Few:
    """What N rows say of some of K classes.

    Attributes:
        classes: N entries of (M,) columns in all, each once in a row.
        values: (M,) what is said of them.
        count: K.
    """

    classes: Ragged
    values: Numbers
    count: int

    @classmethod
    def of(cls, rows: Iterable[tuple[Iterable[int], Iterable[float]]], count: int) -> Few:
        """Of each row its columns and their values; of a value that is NaN nothing is said."""
        columns, values, lengths = array("q"), array("d"), array("q")
        for classes, numbers in rows:
            columns.extend(classes)
            values.extend(numbers)
            lengths.append(len(columns))
        offsets = np.concatenate([np.zeros(1, np.int64), np.frombuffer(lengths, np.int64)])
        has_value = ~np.isnan(np.frombuffer(values))
        kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(has_value)])[offsets]
        classes_named = np.frombuffer(columns, np.int64)[has_value].astype(np.int32)
        return cls(Ragged(classes_named, kept), np.frombuffer(values)[has_value], count)

    @classmethod
    def of_table(cls, table: Numbers) -> Few:
        """Of (N, K) numbers, NaN where nothing is said."""
        has_value = ~np.isnan(table)
        classes = np.broadcast_to(np.arange(table.shape[1], dtype=np.int32), table.shape)[has_value]
        return cls(Ragged(classes, ends(has_value.sum(axis=1))), table[has_value], table.shape[1])

    @property
    def rows(self) -> NDArray[np.int64]:
        """(M,) the row of each value."""
        return np.repeat(np.arange(len(self.classes)), self.classes.lengths)

    def sums(self) -> Numbers:
        """(N,) sums of rows of K numbers, zeros where nothing is said: these, too, decide the order of adding."""
        sums, size = np.empty(len(self.classes)), max(SUMMED // max(self.count, 1), 1)
        whole = np.zeros((min(size, len(sums)), self.count))
        for start in range(0, len(sums), size):
            block = np.arange(start, min(start + size, len(sums)))
            entries, inside = rows_of(self.classes.offsets, block)
            place = np.repeat(np.arange(len(block)), np.diff(inside)), self.classes.values[entries]
            whole[place] = self.values[entries]
            sums[block] = whole[: len(block)].sum(axis=1)
            whole[place] = 0.0
        return sums


def spread(few: Few, columns: Columns) -> Sparse:
    """Logits of shares of some classes, of which the others get what is left in equal parts; of none: no answer.

    Raises:
        DataError: shares that are none, or are together more than all; names the first five rows.
    """
    lengths = few.classes.lengths
    total, negative = few.sums(), np.zeros(len(lengths), np.bool_)
    negative[few.rows[few.values < 0]] = True
    refuse((lengths > 0) & (negative | (total > 1 + slack(lengths))), total, columns)
    left = np.clip(1 - total, 0.0, None) / np.maximum(few.count - lengths, 1)
    return Sparse(few.classes, log(few.values), log(np.where(lengths > 0, left, np.nan)), few.count)


def votes(rows: Index, classes: Index, shape: tuple[int, int], smoothing: float) -> Sparse:
    """Logits of the shares of (N, K) votes, each of a row for a class; of none: no answer.

    Args:
        smoothing: the share that is spread over all classes.
    """
    count, total = shape[1], np.bincount(rows, minlength=shape[0])
    cells, given = np.unique(rows * count + classes, return_counts=True)
    voted = cells // max(count, 1)
    shares = (1 - smoothing) * given / total[voted] + smoothing / count
    with np.errstate(invalid="ignore"):
        rest = np.zeros(shape[0]) / total + smoothing / count
    columns = Ragged((cells % max(count, 1)).astype(np.int32), ends(np.bincount(voted, minlength=shape[0])))
    return Sparse(columns, log(shares), log(rest), count)


def means(answers: Sparse, groups: Sequence[Sequence[int]], mean: Callable[[Logits], Logits]) -> Sparse:
    """The mean of each group of rows, as ``mean`` makes (K,) logits of their (n, K)."""
    columns, values, rest, lengths = array("i"), array("f"), array("f"), array("q")
    for group in groups:
        rows = np.array(group)
        row, others = mean(answers[rows]), np.ones(answers.columns, np.bool_)
        others[answers.named(rows)] = False
        left = row[others]
        if len(left) and (left != left[0]).any():
            others[:] = False
        rest.append(float(left[0]) if len(left) else 0.0)
        columns.extend(np.flatnonzero(~others).tolist())
        values.extend(row[~others].tolist())
        lengths.append(len(columns))
    offsets = np.concatenate([np.zeros(1, np.int64), np.array(lengths, np.int64)])
    named = Ragged(np.array(columns, np.int32), offsets)
    return Sparse(named, np.array(values, np.float32), np.array(rest, np.float32), answers.columns)


def slack(count: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """By how much the sum of so many shares may miss 1: each may be rounded to two decimals."""
    return np.clip(ROUNDED * np.asarray(count) + 1e-6, SLACK, MOST_SLACK)


def refuse(bad: NDArray[np.bool_], total: Numbers, columns: Columns, hint: str | None = None) -> None:
    """Raise DataError where some rows are bad; names the first five, and their sums."""
    if bad.any():
        rows = np.flatnonzero(bad)
        sums = first(f"{columns.place(int(i)).removeprefix(f'{columns.where}, ')}: {total[i]:.4g}" for i in rows)
        raise DataError("shares that are none, or don't sum to 1", where=columns.where, found=sums, hint=hint)


def log(shares: Numbers) -> Logits:
    """The logarithms of shares, in float32; of none at all that of the smallest normal float. NaN stays NaN."""
    with np.errstate(invalid="ignore"):
        logs: Logits = np.log(np.maximum(shares, TINY)).astype(np.float32)
    return logs
