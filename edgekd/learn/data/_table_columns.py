"""What the op ``table`` knows of each column, learned of rows some at a time; and raw rows by it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base import table_rows, units
from edgekd.base.errors import DataError
from edgekd.base.table_rows import Category, Column, Number
from edgekd.learn.data._decoding import Decoded, Item
from edgekd.learn.data._moments import Moments
from edgekd.learn.data._table_files import Cells
from edgekd.learn.data._table_labels import checked_numbers, is_foreign, no_number
from edgekd.learn.data._table_lines import Left

FEW_IDS = 20  # rows: of fewer, names may all differ by chance
_DATE = re.compile(r"\d{1,4}[/.]\d{1,2}[/.](\d{2}|\d{4})( .*)?|\d{1,2}:\d{2}(:\d{2})?")  # as ISO 8601 has none
_MEASURE = re.compile(r"([$€£¥]?) ?([+-]?\d[\d.,]*) ?([$€£¥]|°?[^\W\d_]{1,4})?")
FEW_WORDS = 0.1  # of a column's cells, or of its different ones: so few stand in a column of numbers, and are no names


@dataclass(frozen=True)
class RawRows:
    """A ``Decoder`` of rows that are left in a file; an item is two zeros, a row's first byte, how many, and its line.

    What other decoders' items say of file and stamp is the same for all rows, and would take 16 bytes of each.

    Attributes:
        path, stamp, delimiter, header: see ``Left``.
        learned: what is known of each column that is read.
    """

    path: str
    stamp: int
    delimiter: str
    header: Sequence[str]
    learned: Sequence[Column]
    dtype: ClassVar[str] = "float32"

    @property
    def shape(self) -> tuple[int]:
        """Of a row."""
        return (len(self.learned),)

    def decoded(self, items: Sequence[Item]) -> Decoded:
        """(N, K) raw rows; there is nothing to count."""
        starts, sizes, places = np.array([item[2:5] for item in items], np.int64).reshape(-1, 3).T
        left = Left(self.path, self.stamp, self.delimiter, self.header, starts, sizes.astype(np.int32))
        cells = Cells(Path(self.path).name, {}, places, "line", left)
        parts = [raw_rows(part, self.learned) for part in cells.parts([column["name"] for column in self.learned])]
        return np.concatenate([np.empty((0, *self.shape), np.float32), *parts]), {}

    def place(self, item: Item) -> str:
        """What an error calls a row."""
        return f"data.path: {Path(self.path).name}, line {item[4]}"

    @staticmethod
    def columns(cells: Cells, left: Left) -> tuple[NDArray[np.int64] | NDArray[np.int32] | NDArray[np.int8], ...]:
        """Of the items of rows, see ``Lazy``."""
        nothing = np.zeros(len(cells), np.int8)
        return nothing, nothing, left.starts, left.sizes, cells.places


def raw_rows(cells: Cells, learned: Sequence[Column]) -> NDArray[np.float32]:
    """(N, K) raw rows.

    Raises:
        DataError: a word in a column of numbers; names the row.
    """
    raw = np.empty((len(cells), len(learned)), np.float32)
    for k, column in enumerate(learned):
        raw[:, k] = _codes(cells, column) if "values" in column else checked_numbers(cells, column["name"])
    return raw


def categories_of(cells: Cells, names: Sequence[str]) -> list[str]:
    """Those of some columns that hold words.

    Raises:
        DataError: a few words among numbers, or numbers that are written otherwise; names the row.
    """
    words = {name: _Words() for name in names}
    for part in cells.parts(names):
        for name in names:
            words[name].add(part, name)
    for name, of in words.items():
        if of.odd is not None and (of.are_odd or _is_among_many(cells, name, of)):
            raise of.odd
    return [name for name, of in words.items() if of.odd is not None]


class _Words:
    """What a column holds that is no number.

    Attributes:
        cells, words: how many are no missing values, and no numbers either.
        spellings: the different words.
        odd: the error on the first word, where words are mistakes; None: there is none.
    """

    def __init__(self) -> None:
        self.cells, self.words = 0, 0
        self.spellings: set[str] = set()
        self.odd: DataError | None = None

    def add(self, cells: Cells, name: str) -> None:
        """Count in some rows."""
        counts = Counter(cells.columns[name])
        of_texts = {text: count for text, count in counts.items() if not table_rows.is_missing(text)}
        spellings = {text for text in of_texts if table_rows.number_of(text) is None}
        self.cells += sum(of_texts.values())
        self.words += sum(of_texts[text] for text in spellings)
        self.spellings |= spellings
        if self.odd is None and spellings:
            first = next(row for row, text in enumerate(cells.columns[name]) if text in spellings)
            self.odd = no_number(cells, name, first)

    @property
    def are_odd(self) -> bool:
        """Whether so few words stand among numbers that they are no names, or words are marks (? or -), or numbers."""
        marks = self.words < self.cells and not any(char.isalnum() for word in self.spellings for char in word)
        return self.words < FEW_WORDS * self.cells or marks or all(map(is_foreign, self.spellings))


def _is_among_many(cells: Cells, name: str, words: _Words) -> bool:
    """Whether a column's different words are few of all that differ."""
    different: set[str] = set()
    for part in cells.parts([name]) if words.words < words.cells else ():
        different.update(text for text in part.columns[name] if not table_rows.is_missing(text))
        if len(words.spellings) < FEW_WORDS * len(different):
            return True
    return False


class Learned:
    """Columns as their training rows have them.

    Args:
        names: of the columns, in the order in which the student reads them.
        categories: those of them that are names.
        most: values of a category that are told apart.
    """

    def __init__(self, names: Sequence[str], categories: Sequence[str], most: int) -> None:
        self._most, self._rows = most, 0
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in names if name in categories}
        self._moments = {name: Moments() for name in names if name not in categories}
        self._names = tuple(names)

    def add(self, rows: Cells) -> None:
        """Count in training rows.

        Raises:
            DataError: a word in a column of numbers; names the row.
        """
        for part in rows.parts(self._names):
            self._rows += len(part)
            for name, counts in self._counts.items():
                counts.update(part.columns[name])
            for name, moments in self._moments.items():
                numbers = checked_numbers(part, name).astype(np.float32)
                moments.add(numbers[~np.isnan(numbers)])

    def columns(self) -> list[Column]:
        """What the op knows of each.

        Raises:
            DataError: a column without a value in any training row.
        """
        return [self._category(name) if name in self._counts else self._number(name) for name in self._names]

    def notes(self) -> list[str]:
        """On columns that are likely not what the student is to read."""
        notes = []
        for column in self.columns():
            if "values" in column and (what := _seem(column["values"])):
                notes.append(f"column {column['name']!r} holds {what}, or leave it out (data.columns)")
            if "values" in column and self._are_ids(column["name"]):
                what = "has a value of its own in nearly every training row, and tells nothing of other rows"
                notes.append(f"column {column['name']!r} {what}: leave it out (data.columns), or name it in data.id")
            elif "values" in column and column["other"]:
                counts, count = self._present(column["name"]), len(column["values"])
                others = sum(counts.values()) - sum(counts[text] for text in column["values"])
                of = units.share(others / self._rows, 0)
                rest = f"the others, of {of} of the training rows, are not told apart"
                notes.append(f"column {column['name']!r} has more than {count} values: {rest} (data.values)")
            elif "mean" in column and self._is_constant(column["name"]) and not column["missing"]:
                notes.append(f"column {column['name']!r} is the same in every training row, and tells nothing")
        return notes

    def _are_ids(self, name: str) -> bool:
        """Whether nearly every row of a column of names has another one."""
        counts = self._present(name)
        return len(counts) >= FEW_IDS and len(counts) > (1 - FEW_WORDS) * sum(counts.values())

    def _number(self, name: str) -> Number:
        moments = self._moments[name]
        _check_given(moments.count, name)
        mean, std = np.float32(moments.mean), np.float32(moments.std)
        missing = moments.count < self._rows
        return {"name": name, "mean": float(mean), "std": float(std) if std > 0 else 1.0, "missing": missing}

    def _category(self, name: str) -> Category:
        counts = self._present(name)
        _check_given(len(counts), name)
        ordered = sorted(counts, key=lambda text: (-counts[text], text))
        return {"name": name, "values": ordered[: self._most], "other": len(ordered) > self._most}

    def _present(self, name: str) -> dict[str, int]:
        """How often each value of a category stands there."""
        return {text: count for text, count in self._counts[name].items() if not table_rows.is_missing(text)}

    def _is_constant(self, name: str) -> bool:
        return self._moments[name].low == self._moments[name].high


def _seem(values: Sequence[str]) -> str:
    """What names seem to be that were better numbers, with what to do; "": they are names."""
    if all(table_rows.is_date(text) or _DATE.fullmatch(text) for text in values):
        return "dates, which are read as names: give numbers, such as days since one"
    units_of = {match.group(1, 3) if (match := _MEASURE.fullmatch(text)) else ("", "") for text in values}
    if len(values) > 1 and len(units_of) == 1 and any(marks := next(iter(units_of))):
        return f"numbers with {' and '.join(filter(None, marks))!r}, which are read as names: write the numbers alone"
    return ""


def _check_given(count: int, name: str) -> None:
    if not count:
        hint = "data.columns names those that are read"
        raise DataError("a column without a value in any training row", where="data.path", found=name, hint=hint)


def _codes(cells: Cells, column: Category) -> NDArray[np.float64]:
    count = len(column["values"])
    places: Mapping[str, int] = {text: i for i, text in enumerate(column["values"])}
    texts = cells.columns[column["name"]]
    return np.array([np.nan if table_rows.is_missing(text) else places.get(text, count) for text in texts], np.float64)
