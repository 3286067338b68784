"""Files of recorded answers, read into columns: NPZ, CSV, TSV, JSON lines, Parquet; what is text also as ``.gz``.

A file stands for all samples, or a folder holds one for each split; an NPZ may hold the arrays of every split, with the
split's name behind an underscore.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, RecipeError
from edgekd.learn.data import ROLES, file_content, read_arrays
from edgekd.teachers import _parquet

SPLITS = ("train", "validation", "test")
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


def read(path: str, where: str) -> dict[str, Columns]:
    """The answers by the split that they are of; by ``""`` where one file holds them all.

    Args:
        where: the ``model`` table that names the file.

    Raises:
        RecipeError: no such file or folder. DataError: a file that is not what its name says, or half of one.
    """
    place = Path(path)
    if place.is_dir():
        return _folder(place, where)
    if not place.is_file():
        raise RecipeError("no such file or folder", where=f"{where}.path", found=path)
    return _npz(place, where) if place.suffix == ".npz" else {"": _reader(place, where)(place, _named(place, where))}


def _named(file: Path, where: str) -> str:
    return f"{where}.path: {file.name}"


def _folder(folder: Path, where: str) -> dict[str, Columns]:
    """The file of each split, by what files of splits are called."""
    parts: dict[str, Columns] = {}
    for file in sorted(folder.iterdir()):
        role = ROLES.get(file.name.lower().partition(".")[0])
        if role is None or not file.is_file():
            continue
        if role in parts:
            raise DataError("two files for one split", where=f"{where}.path: {folder.name}", found=file.name)
        whole = _npz(file, where).get("") if file.suffix == ".npz" else _reader(file, where)(file, _named(file, where))
        if whole is None:
            raise DataError("arrays of several splits", where=_named(file, where), allowed=f"those of {role} alone")
        parts[role] = whole
    if not parts:
        allowed = "train, validation and test, each .npz, .csv, .tsv, .jsonl or .parquet"
        raise DataError("no file of a split", where=f"{where}.path", found=folder.name, allowed=allowed)
    return parts


def _reader(file: Path, where: str) -> Callable[[Path, str], Columns]:
    endings = file.name.lower().removesuffix(".gz").rpartition(".")[2]
    if endings not in READERS:
        raise DataError("no answers are read of such a file", where=_named(file, where), allowed=[".npz", *READERS])
    return READERS[endings]


def _npz(file: Path, where: str) -> dict[str, Columns]:
    """The arrays of each split; that of ``classes`` is of all."""
    place, parts = _named(file, where), dict[str, dict[str, AnyArray]]()
    arrays = read_arrays(str(file), where, mapped=True)
    classes = arrays.pop("classes", None)
    for name, array in arrays.items():
        base, _, split = name.rpartition("_")
        known = bool(base) and split in SPLITS
        parts.setdefault(split if known else "", {})[base if known else name] = array
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


def _separated(delimiter: str) -> Callable[[Path, str], Columns]:
    def read_table(file: Path, where: str) -> Columns:
        reader = csv.reader(io.StringIO(_text(file, where), newline=""), delimiter=delimiter, strict=True)
        rows: list[list[str]] = []
        lines: list[int] = []
        try:
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
        except csv.Error as err:
            raise DataError(f"not a table: {err}", where=f"{where}, line {reader.line_num}") from err
        if not rows:
            raise DataError("an empty file", where=where)
        header, *cells = rows
        if twice := [name for i, name in enumerate(header) if name in header[:i]]:
            raise DataError("two columns of this name", where=f"{where}, line 1", found=twice[0])
        for row, line in zip(cells, lines[1:], strict=True):
            if len(row) != len(header):
                place, allowed = f"{where}, line {line}", str(len(header))
                raise DataError("another number of cells than the header", where=place, found=len(row), allowed=allowed)
        columns = zip(*cells, strict=True) if cells else ([] for _ in header)
        return Columns({name: list(column) for name, column in zip(header, columns, strict=True)}, where, lines[1:])

    return read_table


def _lines(file: Path, where: str) -> Columns:
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    for number, line in enumerate(_text(file, where).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as err:  # half a line, too
            raise DataError(f"no JSON: {err}", where=f"{where}, line {number}") from err
        if not isinstance(row, dict):
            raise DataError("no table", where=f"{where}, line {number}", found=row, allowed='{"id": ..., ...}')
        rows.append(row)
        numbers.append(number)
    if not rows:
        raise DataError("an empty file", where=where)
    names = dict.fromkeys(name for row in rows for name in row)
    return Columns({name: [row.get(name) for row in rows] for name in names}, where, numbers)


def _rows(file: Path, where: str) -> Columns:
    return Columns(_parquet.columns(file, where), where)


def _text(file: Path, where: str) -> str:
    try:
        return file_content(file, where).decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise DataError(f"not UTF-8 ({err})", where=where) from err


READERS: dict[str, Callable[[Path, str], Columns]] = {
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "jsonl": _lines,
    "ndjson": _lines,
    "parquet": _rows,
}
