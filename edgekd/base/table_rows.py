"""Rows of a table, numbers and categories with gaps, as the numbers that a network reads: the op ``table``.

A raw row is float32: a number as it is, a category as the place of its value among the op's ``values``, or their count
where it is none of them; NaN is a missing value. Of each column the network reads, in the op's order::

    {"name", "mean", "std", "missing"}   (x - float32(mean)) / float32(std), 0 where it is missing; and, where
                                         ``missing``, 1 where it is missing and else 0
    {"name", "values", "other"}          for each of the values 1 where it is that one, else 0; and, where ``other``,
                                         1 where it is none of them. Where it is missing all are 0

Each is one float32 operation after another, so that any language repeats them bit for bit.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypedDict, final

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, RecipeError, UsageError
from edgekd.base.image_ops import Op

OP = "table"
MISSING = ("", "na", "nan", "null", "n/a", "#n/a", "<na>")  # in whatever case
MIDNIGHT = " 00:00:00"  # what a date that was kept as a time ends in
MOST_COLUMNS, MOST_VALUES, WIDEST = 4096, 4096, 65_536  # of a table, of a category, of what a network reads
LARGEST = float(np.finfo(np.float32).max)
# float() of Python also takes 1_000, inf and other scripts' digits, which no other language reads so.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Floats = NDArray[np.float32]


@final
class Number(TypedDict):
    """A column of numbers."""

    name: str
    mean: float
    std: float
    missing: bool


@final
class Category(TypedDict):
    """A column of names."""

    name: str
    values: list[str]
    other: bool


Column = Number | Category
KEYS = {True: tuple(Category.__annotations__), False: tuple(Number.__annotations__)}  # of a category, or not


def op_of(ops: Sequence[Op]) -> Op | None:
    """The op ``table`` of a pipeline, None where there is none."""
    return ops[-1] if ops and ops[-1]["op"] == OP else None


def width(columns: Sequence[Column]) -> int:
    """How many numbers of a row a network reads."""
    return sum(map(_width, columns))


def _width(column: Column) -> int:
    return len(column["values"]) + column["other"] if "values" in column else 1 + column["missing"]


def check(columns: object, where: str) -> None:
    """Raise RecipeError where the op's ``columns`` are malformed, naming the column and the key."""
    if not isinstance(columns, list | tuple) or not 0 < len(columns) <= MOST_COLUMNS:
        allowed = f"a list of 1 to {MOST_COLUMNS} columns"
        raise RecipeError("malformed", where=where, found=columns, allowed=allowed)
    first: dict[object, int] = {}
    for i, column in enumerate(columns):
        place = f"{where}[{i}]"
        if not isinstance(column, Mapping):
            raise RecipeError("not a column", where=place, found=column, allowed="a table with a name")
        keys = KEYS["values" in column]
        for key in (*column, *keys):
            if key not in keys or key not in column:
                what = "unknown key of a column" if key in column else "a column without this key"
                raise RecipeError(what, where=f"{place}.{key}", found=key, allowed=keys)
            if allowed := _wanted(key, column[key]):
                raise RecipeError("malformed", where=f"{place}.{key}", found=column[key], allowed=allowed)
        if first.setdefault(column["name"], i) != i:
            raise RecipeError("two columns of this name", where=f"{place}.name", found=column["name"])
    if (count := width(columns)) > WIDEST:
        raise RecipeError("too many numbers a row", where=where, found=count, allowed=f"at most {WIDEST}")


def _wanted(key: str, value: object) -> str:
    """What a value of a column may be, where it is not that; "" where it is."""
    if key == "name":
        return "" if isinstance(value, str) and value else "a name"
    if key in ("missing", "other"):
        return "" if isinstance(value, bool) else "true or false"
    if key == "values":
        texts = [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []
        good = isinstance(value, list | tuple) and 0 < len({*texts}) == len(value) <= MOST_VALUES
        return "" if good else f"1 to {MOST_VALUES} different names"
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.inf
    if abs(number) <= LARGEST and (key == "mean" or np.float32(number) > 0):
        return ""
    return "a number of float32" if key == "mean" else "a number of float32 above 0"


def encoded(x: AnyArray, columns: Sequence[Column]) -> Floats:
    """(N, K) raw rows as the (N, W) float32 that a network reads.

    Raises:
        DataError: other rows than of K numbers, or a number that is no place among a category's values.
    """
    if x.ndim != 2 or x.shape[1] != len(columns) or x.dtype.kind not in "biuf":
        description, allowed = f"{x.dtype} {x.shape}", f"numbers, (N, {len(columns)})"
        raise DataError("not rows of the table", where="preprocess", found=description, allowed=allowed)
    raw = x.astype(np.float32)
    rows = np.zeros((len(raw), width(columns)), np.float32)
    start = 0
    for k, column in enumerate(columns):
        given = raw[:, k]
        missing = np.isnan(given)
        part = rows[:, start : start + _width(column)]
        if "values" in column:
            known = ~missing
            places = _places(given[known], column)
            hit = places < part.shape[1]
            part[np.flatnonzero(known)[hit], places[hit]] = 1
        else:
            scaled = (given - np.float32(column["mean"])) / np.float32(column["std"])
            part[:, 0] = np.where(missing, np.float32(0), scaled)
            if column["missing"]:
                part[:, 1] = missing
        start += part.shape[1]
    return rows


def _places(given: Floats, column: Category) -> NDArray[np.int64]:
    wrong = (given < 0) | (given > len(column["values"])) | (given != np.rint(given))
    if wrong.any():
        count, value = len(column["values"]), given[wrong][0].item()
        allowed = f"0 to {count - 1}, the place of a value; {count}: another one; NaN: missing"
        raise DataError(f"no value of {column['name']}", where="preprocess", found=value, allowed=allowed)
    return given.astype(np.int64)


def is_missing(text: str) -> bool:
    """Whether a text says that there is no value."""
    return text.strip().lower() in MISSING


def is_date(text: str) -> bool:
    """Whether a text is a date as ISO 8601 has it, or begins with one and a time."""
    try:
        datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return False
    return "-" in text


def number_of(text: str) -> float | None:
    """A text as a number, None where it is none that float32 holds."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    number = float(text)
    return number if abs(number) <= LARGEST else None


def raw_rows(x: object, columns: Sequence[Column]) -> object:
    """Rows by column, ``{name: value}`` or a list of such, as raw float32 rows; whatever else as it is.

    Numbers may be texts of numbers. None, NaN and the texts of ``MISSING`` are missing values; a category's value that
    is none of the op's is another one, as in training.

    Raises:
        UsageError: a column that the table has not, or one that is not given; no number where one is needed.
    """
    if isinstance(x, Mapping):
        return np.array(_row(x, columns, "predict"), np.float32)
    if isinstance(x, list | tuple) and x and all(isinstance(row, Mapping) for row in x):
        return np.array([_row(row, columns, f"predict: row {i}") for i, row in enumerate(x)], np.float32)
    return x


def _row(row: Mapping[object, object], columns: Sequence[Column], where: str) -> list[float]:
    names = [column["name"] for column in columns]
    for name in row:
        if name not in names:
            raise UsageError("no such column", where=where, found=name, allowed=names)
    if absent := [name for name in names if name not in row]:
        message, hint = "a column is not given", "None stands for a missing value"
        raise UsageError(message, where=where, found=absent[0], allowed=f"all of {', '.join(names)}", hint=hint)
    return [_raw(row[column["name"]], column, where) for column in columns]


def _raw(value: object, column: Column, where: str) -> float:
    """One value as a number of a raw row."""
    spellings = _spelled(value)
    if not spellings:
        place, allowed = f"{where}: {column['name']}", "a number, a text, or None where it is missing"
        raise UsageError("not a value", where=place, found=value, allowed=allowed)
    if "values" in column:
        places = [column["values"].index(text) for text in spellings if text in column["values"]]
        return float(places[0]) if places else math.nan if is_missing(spellings[0]) else float(len(column["values"]))
    if is_missing(spellings[0]):
        return math.nan
    number = number_of(spellings[0])
    if number is None:
        allowed = "a number of float32, or None where it is missing"
        raise UsageError("not a number", where=f"{where}: {column['name']}", found=value, allowed=allowed)
    return number


def _spelled(value: object) -> list[str]:
    """How a value may stand in a file of texts: whole numbers that once had gaps beside them are often ``3.0`` there.

    None of what is no value of a table; one alone, that is missing, of None.
    """
    if value is None:
        return [""]
    if isinstance(value, str):
        return [value.strip()]
    if isinstance(value, bool | np.bool_):
        return [str(bool(value))]
    if isinstance(value, np.datetime64):
        value = None if np.isnat(value) else value.astype("datetime64[us]").item()
        return _spelled(value)
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta | Decimal):  # as in columns of Parquet
        text = str(value)
        if text == "NaT":  # of pandas, which is a date to Python
            return [""]
        return [text, text.removesuffix(MIDNIGHT), text + MIDNIGHT]
    if isinstance(value, int | np.integer):
        return [str(int(value)), f"{int(value)}.0"]
    if isinstance(value, float | np.floating):
        exact = repr(float(value))
        return [exact, exact.removesuffix(".0")]
    return []


def known(raw: AnyArray) -> AnyArray:
    """Raw rows with 0 for what is missing: all else has to be a finite number."""
    return np.where(np.isnan(raw), np.zeros((), raw.dtype), raw) if raw.dtype.kind == "f" else raw


def synthetic(columns: Sequence[Column], rng: np.random.Generator, count: int) -> Floats:
    """(count, K) raw rows that belong to nobody: normal numbers, values alike often; one in ten cells is missing."""
    raw = np.empty((count, len(columns)), np.float32)
    for k, column in enumerate(columns):
        if "values" in column:
            raw[:, k] = rng.integers(0, len(column["values"]) + 1, count)
        else:
            raw[:, k] = column["mean"] + column["std"] * rng.standard_normal(count)
    raw[rng.random(raw.shape) < 0.1] = np.nan
    return raw
