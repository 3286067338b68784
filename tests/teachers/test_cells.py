"""Columns of tables as they are held: every cell comes back as it was read, and numbers of rows as arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgekd.teachers._cells import Cells, Holds

BLOCKS: dict[str, list[list[Any]]] = {
    "whole numbers": [[1, 2, -3], [2**62]],
    "large ones": [[1], [2**70, 1], [10**400]],
    "floats": [[0.1, -0.0, 1e300], [math.inf]],
    "both": [[1, 0.5], [2, 3], [0.5]],
    "truth values": [[True, False], [1, True], [0.5, False]],
    "texts": [["a", "b", "a"], ["", "1"]],
    "gaps": [[None, 1], [None], ["a", None, 2.0]],
    "rows": [[[1.5, 2.5], [3.0, 4.0]], [[5.0, 6.0]]],
    "rows of whole numbers": [[[1, 2], [3, 4]], [[5, 0]]],
    "rows of both": [[[1, 2.5], [3.0, 4]]],
    "rows of truth values": [[[True, 2.5], [3.0, 4.0]], [[True, False]]],
    "rows of several lengths": [[[1.0], [2.0, 3.0]], [[]], [[], []]],
    "rows and gaps": [[[1.0, 2.0], None], [[1.0, 2.0]]],
    "rows of texts": [[["a", "b"], ["b", "a"]], [["1", 2]]],
    "tables": [[{"a": 0.5, "b": 0.25}, {"b": 0.5}, {}], [{"c": 1.0}]],
    "tables of whole numbers": [[{"a": 1, "b": 2}, {"b": 3}]],
    "tables of others": [[{"a": 1, "b": 0.5}], [{"a": "x"}], [{"a": None}], [{"a": [1.0]}], [{"a": True}], [{}, None]],
    "pairs": [[[["a", 0.5], ["b", 0.25]], [["a", 0.5], ["a", 0.5]]], [[["c", 1.0]]]],
    "pairs of numbers": [[[[1, 0.5], [2, 0.5]], [[3, 0.5]]], [[[0, 1], [1, 2]]]],
    "pairs of others": [[[[1, 0.5], ["a", 0.5]], [[True, 0.5]]], [[["a", 0.5, 1]], [["a", 0.5]]], [[["a"], "b"], []]],
}


def column(blocks: list[list[Any]], holds: Holds) -> Cells:
    cells = Cells(holds)
    for block in blocks:
        cells.add(list(block))
    return cells


def as_floats(cell: Any) -> Any:
    """What a cell of rows or tables of numbers may be as well: whole numbers beside floats are floats."""
    if isinstance(cell, dict):
        return {key: as_floats(value) for key, value in cell.items()}
    if isinstance(cell, list):
        return [as_floats(one) for one in cell]
    return float(cell) if type(cell) is int and abs(cell) < 2**53 else cell


@pytest.mark.parametrize("kind", BLOCKS)
def test_cells_come_back(kind: str) -> None:
    """Also their types: True is not 1, and 1 is not 1.0."""
    wanted = [cell for block in BLOCKS[kind] for cell in block]
    cells = column(BLOCKS[kind], "cells")
    assert len(cells) == len(wanted) and repr(list(cells)) == repr(wanted)
    assert repr([cells[i] for i in range(len(cells))]) == repr(wanted) and repr(cells[-1]) == repr(wanted[-1])
    assert repr(cells[1:3]) == repr(wanted[1:3])
    rows = column(BLOCKS[kind], "rows")
    assert repr(as_floats(list(rows))) == repr(as_floats(wanted))
    with pytest.raises(IndexError):
        cells[len(wanted)]


@pytest.mark.parametrize("holds", ["cells", "rows"])
def test_rows_of_numbers_are_arrays(holds: Holds) -> None:
    cells = column(BLOCKS["rows"], holds)
    assert cells.shape == (3, 2)
    for rows in (slice(None), slice(0, 2), slice(1, 3), slice(2, 9), slice(3, 3)):
        part = cells.numbers(rows)
        assert part.dtype == np.float64 and part.tolist() == list(cells)[rows]
    assert column(BLOCKS["rows of both"], "rows").shape == (2, 2)
    others = ("rows of both", "rows of truth values", "rows of several lengths", "rows and gaps", "texts", "pairs")
    assert [column(BLOCKS[kind], "cells").shape for kind in others] == [None] * len(others)
    assert Cells().shape is None and list(Cells()) == []


def test_numbers_are_read_of_texts() -> None:
    cells = column([["1", " 2.5 ", ""], [None, 3]], "numbers")
    assert cells.shape == (5,) and np.array_equal(
        cells.numbers(slice(None)), [1, 2.5, np.nan, np.nan, 3], equal_nan=True
    )
    cells.add(["x", "4"])
    assert cells.shape is None and list(cells)[-2:] == ["x", "4"]
    cells.skip(2)
    assert len(cells) == 9 and math.isnan(cells[8])


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        (["a", "b", "c"], ["a"] * 3),
        (["1", "nan", ""], ["nan"] * 3),
        (["1", None, ""], [1.0, math.nan, math.nan]),
        ([[1], [2]], [[1]] * 2),
    ],
)
def test_of_a_column_that_nobody_reads_one_word_is_held(block: list[Any], wanted: list[Any]) -> None:
    assert repr(list(column([block], "nothing"))) == repr(wanted)
