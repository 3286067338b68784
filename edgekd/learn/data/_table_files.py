"""Files of tables, each as columns of texts: CSV, TSV and JSON lines by the standard library, Parquet by pyarrow."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits, table_rows
from edgekd.base.errors import DataError
from edgekd.learn.data import _arrow, _files, _table_lines
from edgekd.learn.data._table_lines import Left, Line
from edgekd.tasks import LISTED

SEPARATED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET, JSON_LINES = ".parquet", ".jsonl"
ENDINGS = (*SEPARATED, PARQUET, JSON_LINES)
AT_ONCE = 4096  # rows that are read together of those that are left in a file

Choose = Callable[[list[str], str], Sequence[str]]


@dataclass(frozen=True)
class Cells:
    """Some columns of a file.

    Attributes:
        file: its name.
        columns: the texts of each, without white space around.
        places: (N,) what an error calls each row: the number of its line from 1, or of its row from 0 in Parquet.
        counts: what ``places`` counts, ``line`` or ``row``.
        left: where the rows lie, of which the other columns are left in the file; None: nothing is left there.
        header: the names of all columns of the file.
    """

    file: str
    columns: dict[str, list[str]]
    places: NDArray[np.int64]
    counts: str
    left: Left | None = None
    header: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.places)

    def at(self, i: int) -> str:
        """What an error calls a row."""
        return f"data.path: {self.file}, {self.counts} {self.places[i]}"

    def some(self, index: NDArray[np.int64]) -> Cells:
        """The rows of some places."""
        order = index.tolist()
        columns = {name: [texts[i] for i in order] for name, texts in self.columns.items()}
        left = None if self.left is None else self.left.some(index)
        return Cells(self.file, columns, self.places[index], self.counts, left, self.header)

    @property
    def names(self) -> Sequence[str]:
        """Of all columns, also of those that are left in the file."""
        return list(self.columns) if self.left is None else self.left.header

    def parts(self, names: Sequence[str]) -> Iterator[Cells]:
        """Some columns, of as many rows at a time as are read at once: of those in memory all.

        Raises:
            DataError: rows are left in a file that has changed.
        """
        if self.left is None:
            yield self
            return
        for start in range(0, len(self), AT_ONCE):
            index = slice(start, start + AT_ONCE)
            texts = self.left.some(index).columns(names, f"data.path: {self.file}")
            yield Cells(self.file, texts, self.places[index], self.counts)

    def numbers(self, name: str) -> tuple[NDArray[np.float64], int | None]:
        """(N,) a column's numbers, NaN where one is missing; and the first row that holds a word, None: none does."""
        known: dict[str, float] = {}
        first = None
        numbers = np.full(len(self), np.nan)
        for i, text in enumerate(self.columns[name]):
            if text not in known:
                number = None if table_rows.is_missing(text) else table_rows.number_of(text)
                if number is None and first is None and not table_rows.is_missing(text):
                    first = i
                known[text] = np.nan if number is None else number
            numbers[i] = known[text]
        return numbers, first


def ending_of(path: Path) -> str | None:
    """Which of ``ENDINGS`` a file has."""
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)


def is_plain(path: Path) -> bool:
    """Whether a row of a file can be read where it lies."""
    return ending_of(path) in (".csv", ".tsv")


def read(path: Path, choose: Choose, *, leave: bool = False) -> Cells:
    """Some columns of a file.

    Args:
        choose: the columns that are read, from the names of all and what an error calls the header.
        leave: leave the others in the file, which ``is_plain``, and note where its rows lie.

    Raises:
        DataError: no such file, one that is damaged or no table; names the line. UnavailableError: no pyarrow.
    """
    where = f"data.path: {path.name}"
    ending = ending_of(path)
    if ending is None:
        raise DataError("no file of a table", where="data.path", found=path.name, allowed=f"*{', *'.join(ENDINGS)}")
    if ending == JSON_LINES:
        return _of_json_lines(path, choose, where)
    if ending == PARQUET:
        return _of_parquet(path, choose, where)
    return _of_texts(path, _table_lines.delimiter_of(path, where), choose, where, leave=leave)


def header_of(path: Path) -> list[str]:
    """The names of a file's columns; raises what ``read`` raises."""
    names: list[str] = []

    def none(header: list[str], _: str) -> Sequence[str]:
        names.extend(header)
        return ()

    read(path, none)
    return names


def columns_of(path: Path, names: Sequence[str] | None) -> dict[str, list[str]]:
    """The cells of some columns of a file, None: of all; raises what ``read`` raises."""
    return read(path, lambda header, _: header if names is None else names).columns


def _of_texts(path: Path, delimiter: str, choose: Choose, where: str, *, leave: bool) -> Cells:
    stamp = _files.stamp_of(path.stat())
    lines = _table_lines.lines_of(path, delimiter, where)
    first = next(lines, Line(1, 0, 0, []))
    header = [name.strip() for name in first.cells]
    _check_header(header, f"{where}, line {first.number}", delimiter)
    names = choose(header, f"{where}, line {first.number}")
    wanted = [header.index(name) for name in names]
    columns: list[list[str]] = [[] for _ in names]
    places, starts, sizes = array("q"), array("q"), array("i")  # of lists each number would be an object of its own
    for number, start, stop, cells in lines:
        if len(cells) != len(header):
            allowed = f"{len(header)}, as the header has"
            place = f"{where}, line {number}"
            raise DataError("another number of columns than the header", where=place, found=len(cells), allowed=allowed)
        places.append(number)
        if leave:
            limits.check("file_bytes", stop - start, "a row larger than likely is meant", f"{where}, line {number}")
            starts.append(start)
            sizes.append(stop - start)
        for texts, column in zip(columns, wanted, strict=True):
            texts.append(sys.intern(cells[column].strip()))
    left = Left(str(path), stamp, delimiter, header, np.array(starts, np.int64), np.array(sizes, np.int32))
    by_name = dict(zip(names, columns, strict=True))
    return Cells(path.name, by_name, np.array(places, np.int64), "line", left if leave else None, header)


def _of_json_lines(path: Path, choose: Choose, where: str) -> Cells:
    rows, places, header = _objects(path, where)
    _check_header(header, where, ",")
    names = list(choose(header, where))
    columns = {
        name: [_text(row.get(name), f"{where}, line {at}: {name}") for row, at in zip(rows, places, strict=True)]
        for name in names
    }
    return Cells(path.name, columns, np.array(places, np.int64), "line", header=header)


def plain_cells(path: Path, where: str) -> dict[str, list[str]]:
    """The cells of every column of a file of JSON lines; [] of one that holds lists or tables. Raises as ``read``."""
    rows, _, header = _objects(path, where)
    nested = {name for row in rows for name, value in row.items() if isinstance(value, list | dict)}
    return {name: [] if name in nested else [_text(row.get(name), where) for row in rows] for name in header}


def _objects(path: Path, where: str) -> tuple[list[dict[str, object]], list[int], list[str]]:
    """An object a line, the numbers of the lines, and the keys, which are columns; a key that a line has not is a
    missing value there."""
    rows: list[dict[str, object]] = []
    places: list[int] = []
    number = 0
    try:
        for number, line in enumerate(_files.unpacked(path, where).decode("utf-8-sig").split("\n"), start=1):
            if line.strip():
                rows.append({key.strip(): value for key, value in json.loads(line).items()})
                places.append(number)
    except UnicodeDecodeError as err:
        raise _files.no_utf8(path, where) from err
    except (ValueError, AttributeError, RecursionError) as err:
        what = f"no object of JSON ({err})"
        raise DataError(what, where=f"{where}, line {number}", allowed='{"column": value, ...}') from err
    return rows, places, list(dict.fromkeys(key for row in rows for key in row))


def _check_header(header: list[str], where: str, delimiter: str) -> None:
    if not header:
        raise DataError("no line with the names of the columns", where=where)
    seen: set[str] = set()
    for name in header:
        if not name:
            hint = "pandas writes one for its index: to_csv(..., index=False)"
            raise DataError("a column without a name", where=where, found=header[:LISTED], hint=hint)
        if name in seen:
            raise DataError("two columns of this name", where=where, found=name)
        seen.add(name)
    check_delimiter(header, where, delimiter, SEPARATED)


def check_delimiter(header: Sequence[str], where: str, delimiter: str, endings: Iterable[str]) -> None:
    """Raise DataError where a header is one column alone, in which another mark than the delimiter parts names."""
    others = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
    if len(header) == 1 and (parted := [word for char, word in others.items() if char in header[0]]):
        allowed = f"a {others[delimiter]}, as the file's name says: {', '.join(endings)}"
        raise DataError("one column alone, with another mark inside", where=where, found=parted[0], allowed=allowed)


def _of_parquet(path: Path, choose: Choose, where: str) -> Cells:
    _arrow.check_installed("data.source")
    header = [str(name) for name in _arrow.schema(path, where).names]
    _check_header(header, where, ",")
    names = list(choose(header, where))
    columns: dict[str, list[str]] = {name: [] for name in names}
    row = 0
    for batch, _ in _arrow.batches(path, names, where):
        for name, texts in columns.items():
            values = batch.column(batch.schema.get_field_index(name)).to_pylist()
            texts.extend(_text(value, f"{where}, row {row + i}: {name}") for i, value in enumerate(values))
        row += len(batch)
    return Cells(path.name, columns, np.arange(row), "row", header=header)


def _text(value: object, where: str) -> str:
    """A value as a file of texts would have it: the shortest that is the same number, "" of none."""
    if value is None:
        return ""
    if isinstance(value, bytes | list | dict):
        allowed = "numbers, texts, truth values or dates"
        raise DataError("no value of a table", where=where, found=type(value).__name__, allowed=allowed)
    return sys.intern(str(value).strip())
