"""Columns of a table of answers while it is read: some rows at a time, numbers as arrays, each text once.

As Python's own objects the numbers of a table are several times as large as the answers that are made of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.ragged import Ragged, ends

# What is read of a column: cells as they are; rows or tables of numbers, of which a whole one is as good as a float;
# numbers, of which a text is as good, and NaN as an empty cell; whether there are numbers alone, and nothing else.
Holds = Literal["cells", "rows", "numbers", "nothing"]


class Cells(Sequence[object]):
    """A column, of which a cell is what was read: made when it is asked for, where it is held as numbers.

    Args:
        holds: what is read of it.
    """

    def __init__(self, holds: Holds = "cells") -> None:
        self._holds = holds
        self._blocks: list[Block] = []
        self._ends = [0]

    def add(self, cells: list[object]) -> None:
        """The cells of further rows, at least one."""
        self._blocks.append(_packed(cells, self._holds))
        self._ends.append(self._ends[-1] + len(cells))

    def skip(self, count: int) -> None:
        """So many rows without a cell."""
        if count:
            self.add([None] * count)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = index if 0 <= index < self._ends[-1] else range(len(self))[index]
        block = bisect_right(self._ends, index) - 1
        cell = self._blocks[block][index - self._ends[block]]
        return cell.tolist() if isinstance(cell, np.ndarray | np.generic) else cell

    def __iter__(self) -> Iterator[object]:
        return chain.from_iterable(block.tolist() if isinstance(block, np.ndarray) else block for block in self._blocks)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """(N,) of a column of numbers, (N, K) of one whose cells are rows of K; None of any other."""
        shapes = {block.shape[1:] if isinstance(block, np.ndarray) else None for block in self._blocks}
        of_cell = shapes.pop() if len(shapes) == 1 else None
        return None if of_cell is None else (len(self), *of_cell)

    def numbers(self, rows: slice) -> NDArray[np.float64]:
        """(n, ...) numbers of some rows of a column that has a ``shape``."""
        start, stop, _ = rows.indices(len(self))
        first, last = bisect_right(self._ends, start) - 1, bisect_left(self._ends, stop)
        parts = [self._array(0)[:0]]
        parts += [self._array(i)[max(start - self._ends[i], 0) : stop - self._ends[i]] for i in range(first, last)]
        return np.concatenate(parts).astype(np.float64, copy=False)

    def _array(self, block: int) -> AnyArray:
        return np.asarray(self._blocks[block])


@dataclass(frozen=True)
class Pairs:
    """Cells that say of some labels a number each: tables, or lists of pairs.

    Attributes:
        labels: all that there are.
        of: of each cell the places of its labels among these.
        values: the number of each.
        are_tables: whether a cell is a table.
    """

    labels: Sequence[object]
    of: Ragged
    values: AnyArray
    are_tables: bool

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, i: int) -> object:
        start, stop = self.of.offsets[i : i + 2].tolist()
        labels = [self.labels[place] for place in self.of.values[start:stop].tolist()]
        pairs = zip(labels, self.values[start:stop].tolist(), strict=True)
        return dict(pairs) if self.are_tables else [[label, value] for label, value in pairs]

    def __iter__(self) -> Iterator[object]:
        return map(self.__getitem__, range(len(self)))


Block = list[object] | NDArray[Any] | Pairs


class Numbers:
    """(N, K) numbers of which a slice gives some rows, as float64; ``np.asarray`` gives all.

    Args:
        shape: (N, K).
        rows: (n, K) of a slice.
    """

    def __init__(self, shape: tuple[int, int], rows: Callable[[slice], NDArray[np.float64]]) -> None:
        self.shape, self._rows = shape, rows

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[np.float64]:
        return self._rows(rows)

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> AnyArray:
        return self._rows(slice(None))


def _packed(cells: list[object], holds: Holds) -> Block:
    """Some cells, of which no more is kept than is read of their column."""
    if holds in ("numbers", "nothing"):
        numbers = _floats(cells)
        if holds == "numbers":
            return cells if numbers is None else numbers
        if numbers is not None and not np.isnan(numbers).any():
            return numbers
        words = (cell for cell in cells if not is_empty(cell) and not _is_number(cell))
        word = next(words, None)  # that one is no number tells as much as all do
        return [word] * len(cells) if word is not None else cells if numbers is None else numbers
    kinds, takes_floats, block = {*map(type, cells)}, holds == "rows", None
    if kinds == {list}:
        block = _of_lists(cells, takes_floats)  # type: ignore[arg-type]
    elif kinds == {dict}:
        labels: list[object] = list(chain.from_iterable(cells))  # type: ignore[arg-type]
        values: list[object] = list(chain.from_iterable(map(dict.values, cells)))  # type: ignore[arg-type]
        block = _pairs(cells, labels, values, takes_floats)  # type: ignore[arg-type]
    elif str in kinds:
        shared: dict[str, str] = {}
        return [shared.setdefault(cell, cell) if isinstance(cell, str) else cell for cell in cells]
    else:
        block = _array(cells, kinds, takes_floats)
    return cells if block is None else block


def _of_lists(cells: list[list[object]], takes_floats: bool) -> Block | None:
    """Rows of as many numbers each, or lists of pairs; None: they are neither."""
    kinds = {*map(type, chain.from_iterable(cells))}
    if kinds != {list}:
        return _array(cells, kinds, takes_floats) if len({*map(len, cells)}) == 1 else None
    pairs = list(chain.from_iterable(cells))
    if {*map(len, pairs)} != {2}:  # type: ignore[arg-type]
        return None
    labels, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]  # type: ignore[index]
    return _pairs(cells, labels, values, takes_floats)


def _pairs(
    cells: Sequence[Sequence[object] | Mapping[str, object]],
    labels: Sequence[object],
    values: Sequence[object],
    takes_floats: bool,
) -> Pairs | None:
    """Cells of labels, all of them one after the other, each with its number; None: they are no such."""
    numbers = _array(values, {*map(type, values)}, takes_floats)
    if numbers is None or {*map(type, labels)} not in ({str}, {int}):
        return None
    places: dict[object, int] = {}
    of = np.array([places.setdefault(label, len(places)) for label in labels], np.int32)
    offsets = ends(np.array([len(cell) for cell in cells], np.int64))
    return Pairs(list(places), Ragged(of, offsets), numbers, isinstance(cells[0], dict))


def _array(numbers: Sequence[object], kinds: set[type], takes_floats: bool) -> NDArray[Any] | None:
    """Numbers, or rows of them, of some types, as an array that gives the same ones back; None: none does.

    Args:
        takes_floats: a whole number beside floats may be one.
    """
    try:
        if kinds == {float} or (takes_floats and kinds == {int, float}):
            return np.array(numbers, np.float64)
        return np.array(numbers, np.int64) if kinds == {int} else None
    except OverflowError:
        return None


def is_empty(value: object) -> bool:
    """Whether a cell holds nothing: None, an empty text, NaN."""
    return value is None or value == "" or (isinstance(value, float) and value != value)


def _is_number(cell: object) -> bool:
    numbers = _floats([cell])
    return numbers is not None and not np.isnan(numbers[0])


def _floats(cells: Sequence[object]) -> NDArray[np.float64] | None:
    """(N,) numbers, NaN of an empty cell; None: some cell is no number."""
    try:
        try:
            numbers = np.array(cells, np.float64)
        except ValueError:
            numbers = np.array(["nan" if cell is None or cell == "" else cell for cell in cells], np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers.ndim == 1 else None
