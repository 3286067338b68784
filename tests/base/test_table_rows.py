"""The op ``table``: what a network reads of a row, how an app gives one by name, and what is refused."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base import preprocess, table_rows
from edgekd.base.errors import DataError, RecipeError, UsageError
from edgekd.base.table_rows import Column

COLUMNS: list[Column] = [
    {"name": "temp", "mean": 0.5, "std": 0.25, "missing": True},
    {"name": "season", "values": ["spring", "2", "3.0"], "other": True},
    {"name": "wind", "mean": -3.0, "std": 7.0, "missing": False},
    {"name": "day", "values": ["mon", "tue"], "other": False},
]
OPS = [{"op": "table", "columns": COLUMNS}]
NAN = math.nan


def plain(row: list[float]) -> list[float]:
    """The definition, a cell at a time in numpy's float32."""
    numbers: list[float] = []
    for value, column in zip(np.array(row, np.float32), COLUMNS, strict=True):
        gap = bool(np.isnan(value))
        if "values" in column:
            numbers += [float(value == i) for i in range(len(column["values"]) + column["other"])]
        else:
            scaled = 0.0 if gap else float((value - np.float32(column["mean"])) / np.float32(column["std"]))
            numbers += [scaled, float(gap)] if column["missing"] else [scaled]
    return numbers


def cells(columns: list[Column]) -> st.SearchStrategy[list[float]]:
    one = [
        st.sampled_from([*map(float, range(len(column["values"]) + 1)), NAN])
        if "values" in column
        else st.floats(-1e6, 1e6, width=32) | st.just(NAN)
        for column in columns
    ]
    return st.tuples(*one).map(list)


@settings(max_examples=50, deadline=None)
@given(st.lists(cells(COLUMNS), min_size=1, max_size=5))
def test_every_row_is_read_as_the_definition_says(rows: list[list[float]]) -> None:
    (array,) = preprocess.apply(OPS, np.array(rows, np.float32)).values()
    assert array.dtype == np.float32 and array.shape == (len(rows), table_rows.width(COLUMNS)) == (len(rows), 9)
    assert np.array_equal(array, np.array([plain(row) for row in rows], np.float32))
    for row, numbers in zip(rows, array, strict=True):  # one by one as all at once
        assert np.array_equal(preprocess.apply(OPS, np.array([row], np.float32))["input"][0], numbers)


def test_what_is_missing_or_unknown_is_told_apart() -> None:
    rows = np.array([[NAN, NAN, NAN, NAN], [0.5, 3, -3, 2], [1.0, 0, 4, 1]], np.float32)
    wanted = [[0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0], [2, 0, 1, 0, 0, 0, 1, 0, 1]]
    assert preprocess.apply(OPS, rows)["input"].tolist() == wanted


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (np.zeros((1, 3)), r"not rows of the table; found 'float64 \(1, 3\)'; allowed: numbers, \(N, 4\)"),
        (np.zeros((1, 4), object), "not rows of the table"),
        (
            np.array([[0, 0.5, 0, 0]], np.float32),
            "no value of season; found 0.5; allowed: 0 to 2, the place of a value; 3: another",
        ),
        (np.array([[0, 0, 0, -1]], np.float32), "no value of day; found -1.0"),
        (np.array([[0, 4, 0, 0]], np.float32), "no value of season; found 4.0"),
    ],
)
def test_rows_that_are_none_of_the_table(rows: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        preprocess.apply(OPS, rows)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ({"name": "a", "mean": 0.0, "std": 0.0, "missing": False}, r"std: malformed; found 0.0; .*above 0"),
        ({"name": "a", "mean": 0.0, "std": 1e-60, "missing": False}, "std: malformed"),
        ({"name": "a", "mean": NAN, "std": 1.0, "missing": False}, "mean: malformed"),
        ({"name": "a", "mean": 1e39, "std": 1.0, "missing": False}, "mean: malformed"),
        ({"name": "a", "mean": True, "std": 1.0, "missing": False}, "mean: malformed"),
        ({"name": "a", "mean": 0.0, "std": 1.0}, r"missing: a column without this key"),
        ({"name": "a", "mean": 0.0, "std": 1.0, "missing": 1}, "missing: malformed; found 1; allowed: true or false"),
        ({"name": "", "values": ["x"], "other": False}, "name: malformed"),
        ({"name": "a", "values": [], "other": False}, "values: malformed"),
        ({"name": "a", "values": "xy", "other": False}, "values: malformed"),
        ({"name": "a", "values": ["x", "x"], "other": False}, "values: malformed"),
        ({"name": "a", "values": ["x", 1], "other": False}, "values: malformed"),
        ({"name": "a", "values": ["x"], "othre": False}, "othre: unknown key of a column.*did you mean 'other'"),
        ("a", "not a column"),
        ({"name": "day", "values": ["x"], "other": False}, "two columns of this name; found 'day'"),
    ],
)
def test_a_malformed_op_names_the_column_and_the_key(column: object, why: str) -> None:
    with pytest.raises(RecipeError, match=rf"here\[0\].columns\[4\].*{why}"):
        preprocess.check([{"op": "table", "columns": [*COLUMNS, column]}], "here")


def test_an_op_of_too_much_or_nothing_or_not_at_the_end() -> None:
    for columns in ([], "ab", [{**COLUMNS[0], "name": str(i)} for i in range(4097)]):
        with pytest.raises(RecipeError, match="1 to 4096 columns"):
            preprocess.check([{"op": "table", "columns": columns}], "here")
    wide = [{"name": str(k), "values": [str(i) for i in range(4096)], "other": True} for k in range(16)]
    with pytest.raises(RecipeError, match="too many numbers a row; found 65552"):
        preprocess.check([{"op": "table", "columns": wide}], "here")
    with pytest.raises(RecipeError, match="table must be the last op"):
        preprocess.check([*OPS, {"op": "scale", "divide": 2.0}], "here")
    assert preprocess.largest(OPS, (4,)) == 9


def test_the_op_comes_back_as_it_was_written_down() -> None:
    tables, files = preprocess.stored(OPS)
    assert not files and preprocess.resolved(tables, lambda name: b"") == OPS
    (spec,) = preprocess.specs(OPS, np.zeros(4, np.float32))
    assert (spec.name, spec.shape, spec.dtype) == ("input", (None, 9), "float32")
    assert preprocess.raw_shape(OPS, (4,)) == (4,)
    preprocess.check_sample(OPS, (4,), "float32")
    with pytest.raises(DataError, match="not rows of the table"):
        preprocess.check_sample(OPS, (5,), "float32")


ROW: dict[str, object] = {"temp": 0.75, "season": "spring", "wind": "-1.5", "day": "tue"}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [0.75, 0, -1.5, 1]),
        ({"temp": None, "season": NAN, "wind": "NA", "day": " "}, [NAN, NAN, NAN, NAN]),
        ({"season": 2, "day": "sun"}, [0.75, 1, -1.5, 2]),
        ({"season": np.float64(2.0)}, [0.75, 1, -1.5, 1]),  # a whole number that a gap beside it made a float
        ({"season": 3}, [0.75, 2, -1.5, 1]),  # and one that a gap made a float in training
        ({"season": " spring ", "temp": np.int64(3)}, [3, 0, -1.5, 1]),
        ({"season": True, "wind": " 1e-3"}, [0.75, 3, 0.001, 1]),
    ],
)
def test_a_row_by_name(changes: dict[str, object], wanted: list[float]) -> None:
    raw = table_rows.raw_rows({**ROW, **changes}, COLUMNS)
    assert isinstance(raw, np.ndarray) and raw.dtype == np.float32
    assert np.array_equal(raw, np.array(wanted, np.float32), equal_nan=True)
    both = table_rows.raw_rows([ROW, dict(reversed({**ROW, **changes}.items()))], COLUMNS)
    assert isinstance(both, np.ndarray) and np.array_equal(both[1], raw, equal_nan=True)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({**ROW, "seson": 1}, "no such column; found 'seson'.*did you mean 'season'"),
        ({"temp": 1}, "a column is not given; found 'season'; .*None stands for a missing value"),
        ({**ROW, "wind": "strong"}, "predict: wind: not a number; found 'strong'"),
        ({**ROW, "wind": math.inf}, "wind: not a number; found inf"),
        ({**ROW, "wind": "1_000"}, "wind: not a number"),
        ({**ROW, "wind": 1e39}, "wind: not a number"),
        ({**ROW, "day": ["mon"]}, "day: not a value"),
    ],
)
def test_a_row_that_names_what_is_not_there(row: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        table_rows.raw_rows(row, COLUMNS)
    with pytest.raises(UsageError, match=f"predict: row 1.*{why.removeprefix('predict: ')}"):
        table_rows.raw_rows([ROW, row], COLUMNS)


def test_rows_of_numbers_stay_as_they_are() -> None:
    for raw in (np.zeros((2, 4)), [[0.0] * 4], [0.0] * 4):
        assert table_rows.raw_rows(raw, COLUMNS) is raw


@pytest.mark.parametrize(("text", "number"), [("1", 1.0), ("+.5", 0.5), ("-2.e3", -2000.0), ("1E+2", 100.0)])
def test_texts_that_are_numbers(text: str, number: float) -> None:
    assert table_rows.number_of(text) == number


@pytest.mark.parametrize("text", ["", "inf", "nan", "1_000", "0x1", "1,5", "1e", "٣", "1e999", "--1", "1 2"])
def test_texts_that_are_none(text: str) -> None:
    assert table_rows.number_of(text) is None


def test_made_rows_are_rows_of_the_table() -> None:
    raw = table_rows.synthetic(COLUMNS, np.random.default_rng(0), 200)
    (array,) = preprocess.apply(OPS, raw).values()
    assert np.isfinite(array).all() and np.isnan(raw).any() and (array[:, 2:6].sum(axis=0) > 0).all()
    assert np.isfinite(table_rows.known(raw)).all()


class NaT(datetime.datetime):
    """As pandas has it."""

    def __str__(self) -> str:
        return "NaT"


@pytest.mark.parametrize("kept", ["2024-03-05", "2024-03-05 00:00:00"])
def test_dates_are_taken_as_training_read_them(kept: str) -> None:
    columns: Any = [{"name": "day", "values": ["2024-03-04", kept], "other": False}]
    day = datetime.date(2024, 3, 5)
    same: tuple[Any, ...] = (day, datetime.datetime(2024, 3, 5), np.datetime64(day), np.datetime64(day, "ns"))
    for value in same:
        assert table_rows.raw_rows({"day": value}, columns).tolist() == [1.0]  # type: ignore[attr-defined]
    nothing: tuple[Any, ...] = (None, np.datetime64("NaT"), NaT(2024, 3, 5))
    for value in nothing:
        assert np.isnan(table_rows.raw_rows({"day": value}, columns)).all()  # type: ignore[call-overload]
    number: Any = [{"name": "price", "mean": 0.0, "std": 1.0, "missing": False}]
    assert table_rows.raw_rows({"price": Decimal("1.50")}, number).tolist() == [1.5]  # type: ignore[attr-defined]
