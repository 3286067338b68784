"""Files of recorded answers, read into columns: NPZ, CSV, TSV, JSON lines, Parquet; what is text also as ``.gz``.

A file stands for all samples, or a folder holds one for each split; an NPZ may hold the arrays of every split, with the
split's name behind an underscore.
"""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, RecipeError
from edgekd.learn.data import ROLES, check_delimiter, delimiter_of, file_text, read_arrays
from edgekd.teachers import _parquet
from edgekd.teachers._cells import Cells, Holds

SPLITS = ("train", "validation", "test")
# Cells of CSV, and characters of JSON, that are Python's objects at once: so few that they are gone before its garbage
# collection looks at them a third time, which looks at all others as well (of 2**21 reading takes twice as long).
AT_ONCE, CHARACTERS = 2**15, 2**16
Column = Sequence[object] | AnyArray


@dataclass(frozen=True)
class Columns:
    """The answers of a file, or of a part of it.

    Attributes:
        values: by column, as many as there are rows; None or an empty text where a cell holds nothing.
        where: the file, for errors.
        lines: the number of each row in the file; None: they are counted from 0.
        classes: what the numbers of a row are of, where the file says it.
    """

    values: Mapping[str, Column]
    where: str
    lines: Sequence[int] | None = None
    classes: Column | None = None

    def __len__(self) -> int:
        return max(map(len, self.values.values()), default=0)

    def place(self, row: int) -> str:
        """Where a row stands, for errors."""
        return f"{self.where}, row {row}" if self.lines is None else f"{self.where}, line {self.lines[row]}"


Held = Callable[[str], Holds]
Read = Callable[[Path, str, Held], Columns]


def whole_cells(name: str) -> Holds:
    """Of every column its cells."""
    return "cells"


def read(path: str, where: str, holds: Held = whole_cells) -> dict[str, Columns]:
    """The answers by the split that they are of; by ``""`` where one file holds them all.

    Args:
        where: the ``model`` table that names the file.
        holds: what is read of a table's column, by its name: no more is held of it.

    Raises:
        RecipeError: no such file or folder. DataError: a file that is not what its name says, or half of one.
    """
    place = Path(path)
    if place.is_dir():
        return _folder(place, where, holds)
    if not place.is_file():
        raise RecipeError("no such file or folder", where=f"{where}.path", found=path)
    if place.suffix == ".npz":
        return _npz(place, where)
    return {"": _reader(place, where)(place, _named(place, where), holds)}


def _named(file: Path, where: str) -> str:
    return f"{where}.path: {file.name}"


def _folder(folder: Path, where: str, holds: Held) -> dict[str, Columns]:
    """The file of each split, by what files of splits are called."""
    parts: dict[str, Columns] = {}
    for file in sorted(folder.iterdir()):
        role = ROLES.get(file.name.lower().partition(".")[0])
        if role is None or not file.is_file():
            continue
        if role in parts:
            raise DataError("two files for one split", where=f"{where}.path: {folder.name}", found=file.name)
        if file.suffix == ".npz":
            whole = _npz(file, where).get("")
        else:
            whole = _reader(file, where)(file, _named(file, where), holds)
        if whole is None:
            raise DataError("arrays of several splits", where=_named(file, where), allowed=f"those of {role} alone")
        parts[role] = whole
    if not parts:
        allowed = "train, validation and test, each .npz, .csv, .tsv, .jsonl or .parquet"
        raise DataError("no file of a split", where=f"{where}.path", found=folder.name, allowed=allowed)
    return parts


def _reader(file: Path, where: str) -> Read:
    endings = file.name.lower().removesuffix(".gz").rpartition(".")[2]
    if endings not in READERS:
        raise DataError("no answers are read of such a file", where=_named(file, where), allowed=[".npz", *READERS])
    return READERS[endings]


def _npz(file: Path, where: str) -> dict[str, Columns]:
    """The arrays of each split; that of ``classes`` is of all."""
    place, parts = _named(file, where), dict[str, dict[str, AnyArray]]()
    arrays = read_arrays(str(file), where, mapped=True)
    classes = arrays.pop("classes", None)
    for name, values in arrays.items():
        base, _, split = name.rpartition("_")
        known = bool(base) and split in SPLITS
        parts.setdefault(split if known else "", {})[base if known else name] = values
    if len(parts) > 1 and "" in parts:
        allowed = "a split's name behind each, or behind none"
        raise DataError("arrays of one split and of all", where=place, found=", ".join(arrays), allowed=allowed)
    for split, held in parts.items():
        sizes = {name: len(array) for name, array in held.items()}
        if len(set(sizes.values())) > 1:
            raise DataError("arrays of different lengths", where=f"{place}: {split}".rstrip(": "), found=sizes)
    if not parts:
        raise DataError("no arrays", where=place)
    return {split: Columns(held, place, classes=classes) for split, held in parts.items()}


def _separated(file: Path, where: str, holds: Held) -> Columns:
    delimiter = delimiter_of(file, where)
    with _text(file, where, newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            header = next(filter(None, reader), None)
            if header is None:
                raise DataError("an empty file", where=where)
            check_delimiter(header, f"{where}, line {reader.line_num}", delimiter, (".csv", ".tsv"))
            columns, lines, wrong = [Cells(holds(name)) for name in header], array("q"), _twice(header, where)
            rows: list[list[str]] = []
            for row in filter(None, reader):
                if len(row) != len(header):
                    place, allowed = f"{where}, line {reader.line_num}", str(len(header))
                    what = "another number of cells than the header"
                    wrong = wrong or DataError(what, where=place, found=len(row), allowed=allowed)
                if wrong is None:
                    rows.append(row)
                    lines.append(reader.line_num)
                if len(rows) * len(header) >= AT_ONCE:
                    _add(columns, rows)
        except csv.Error as err:
            raise DataError(f"not a table: {err}", where=f"{where}, line {reader.line_num}") from err
        if wrong is not None:
            raise wrong
        _add(columns, rows)
    return Columns(dict(zip(header, columns, strict=True)), where, lines)


def _twice(header: list[str], where: str) -> DataError | None:
    """What is wrong with names of which one is there twice; it is raised where the whole is a table."""
    twice = [name for i, name in enumerate(header) if name in header[:i]]
    return DataError("two columns of this name", where=f"{where}, line 1", found=twice[0]) if twice else None


def _add(columns: list[Cells], rows: list[list[str]]) -> None:
    """Put rows into columns, and forget them."""
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True) if rows else ():
        column.add(list(cells))
    rows.clear()


def _lines(file: Path, where: str, holds: Held) -> Columns:
    columns, numbers, rows, size = dict[str, Cells](), array("q"), list[dict[str, object]](), 0

    def keep() -> None:
        for name in dict.fromkeys(name for row in rows for name in row):
            if name not in columns:
                columns[name] = Cells(holds(name))
                columns[name].skip(len(numbers) - len(rows))
        for name, column in columns.items() if rows else ():
            column.add([row.get(name) for row in rows])
        rows.clear()

    with _text(file, where, newline="\n") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.removesuffix("\n"))
            except (ValueError, RecursionError) as err:  # half a line, too
                raise DataError(f"no JSON: {err}", where=f"{where}, line {number}") from err
            if not isinstance(row, dict):
                raise DataError("no table", where=f"{where}, line {number}", found=row, allowed='{"id": ..., ...}')
            rows.append(row)
            numbers.append(number)
            size += len(line)
            if size >= CHARACTERS:
                keep()
                size = 0
    keep()
    if not numbers:
        raise DataError("an empty file", where=where)
    return Columns(columns, where, numbers)


def _rows(file: Path, where: str, holds: Held) -> Columns:
    columns: dict[str, Cells] = {}
    for name, cells in _parquet.cells(file, where):
        if cells:
            columns[name].add(cells)
        elif name in columns:
            raise DataError("two columns of this name", where=where, found=name)
        else:
            columns[name] = Cells(holds(name))
    return Columns(columns, where)


@contextmanager
def _text(file: Path, where: str, newline: str) -> Iterator[io.TextIOBase]:
    try:
        with file_text(file, where, newline) as text:
            yield text
    except UnicodeDecodeError as err:
        raise DataError(f"not UTF-8 ({err})", where=where) from err


READERS: dict[str, Read] = {
    "csv": _separated,
    "tsv": _separated,
    "jsonl": _lines,
    "ndjson": _lines,
    "parquet": _rows,
}
