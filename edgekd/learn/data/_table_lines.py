"""Rows of CSV and TSV, by what they hold and by where they lie, so that one is read again without those before it."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.learn.data import _files

csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))  # a text may be a book; how long a file is has a limit
HEADER_BYTES = 1 << 16  # of a file, in which its first line is looked for


class Line(NamedTuple):
    """A row of a file, whose texts in quotation marks may hold ends of lines.

    Attributes:
        number: of its last line, from 1.
        start, stop: its first byte, and the one behind its last; of a packed file where they are when it is unpacked.
        cells: its texts.
    """

    number: int
    start: int
    stop: int
    cells: list[str]


def is_csv(path: Path) -> bool:
    """Whether cells of a file may be quoted."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def delimiter_of(path: Path, where: str) -> str:
    """What stands between the columns of a file of CSV or TSV: a tab in ``.tsv``, a comma in ``.csv``; or, where the
    header has semicolons and no comma, a semicolon, as spreadsheets write where the comma is a decimal mark.

    Raises:
        DataError: not a regular file, or one too large.
    """
    if not is_csv(path):
        return "\t"
    _files.size_of(path, where, "bytes")
    header = b""
    opens = gzip.open if path.name.lower().endswith(".gz") else open
    with suppress(OSError, EOFError, zlib.error), opens(path, "rb") as file:  # damaged: who reads all of it tells
        header = cast("io.BufferedIOBase", file).readline(HEADER_BYTES)
    return ";" if b";" in header and b"," not in header else ","


def lines_of(path: Path, delimiter: str, where: str) -> Iterator[Line]:
    """The rows of a file, empty lines aside. A plain file is read as it is asked for; a packed one is unpacked first.

    Raises:
        DataError: it can't be read, is no UTF-8, holds a NUL, or a quotation mark that none follows.
    """
    try:
        with _opened(path, where) as text:
            lines = _Counted(text, where, _mark_of(path))
            rows, stop = csv.reader(lines, delimiter=delimiter, strict=True), lines.stop
            with _refusing(rows, where):
                for cells in rows:
                    start, stop = stop, lines.stop
                    if cells:
                        yield Line(rows.line_num, start, stop, cells)
    except OSError as err:
        raise DataError(f"can't be read ({err})", where=where) from err
    except UnicodeDecodeError as err:
        raise _files.no_utf8(path, where) from err


def row_of(text: str, delimiter: str, where: str) -> list[str]:
    """The cells of one row; raises what ``lines_of`` raises."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    with _refusing(rows, where):
        return next(rows, [])


@dataclass(frozen=True)
class Left:
    """Rows that are left in their file.

    Attributes:
        path: the file; ``stamp``: of it when its rows were looked up, see ``_files.stamp_of``.
        delimiter: what stands between two columns.
        header: the names of all columns.
        starts, sizes: (N,) each row's first byte, and how many.
    """

    path: str
    stamp: int
    delimiter: str
    header: Sequence[str]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int32]

    def some(self, index: NDArray[np.int64] | slice) -> Left:
        """The rows of some places."""
        return replace(self, starts=self.starts[index], sizes=self.sizes[index])

    def columns(self, names: Sequence[str], where: str) -> dict[str, list[str]]:
        """The texts of some columns, without white space around.

        Raises:
            DataError: the file has changed.
        """
        places = [(start, size) for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True)]
        parts = _files.spans(Path(self.path), self.stamp, places, where)
        text = "".join(part if part.endswith(("\n", "\r")) else f"{part}\n" for part in map(bytes.decode, parts))
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        with _refusing(rows, where):
            by_column = list(zip(*rows, strict=True)) or [()] * len(self.header)
        order = {name: i for i, name in enumerate(self.header)}
        return {name: [cell.strip() for cell in by_column[order[name]]] for name in names}


class _Counted:
    """The lines of a text, and the byte of its file behind the last one that was asked for.

    Args:
        lines: with the ends that they have there.
        start: the first byte.
    """

    def __init__(self, lines: Iterable[str], where: str, start: int) -> None:
        self._lines, self._where, self.stop = lines, where, start

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, start=1):
            if "\0" in line:
                place = f"{self._where}, line {number}"
                raise DataError("a NUL, which no text has", where=place, allowed="UTF-8")
            self.stop += len(line) if line.isascii() else len(line.encode())
            yield line


def _opened(path: Path, where: str) -> io.TextIOBase:
    """A file's text; a line ends where one of ``\\n``, ``\\r\\n`` and ``\\r`` is, and keeps it."""
    if path.suffix.lower() == ".gz":
        return io.StringIO(_files.unpacked(path, where).decode("utf-8-sig"), newline="")
    _files.size_of(path, where, "bytes")
    return path.open(encoding="utf-8-sig", newline="")


def _mark_of(path: Path) -> int:
    """How many bytes stand before the text."""
    with path.open("rb") as file:
        return len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0


@contextmanager
def _refusing(rows: csv._reader, where: str) -> Iterator[None]:  # type: ignore[name-defined]
    """Tell what ``csv`` raises of a text that it can't take apart."""
    try:
        yield
    except csv.Error as err:
        hint = 'a text that begins with a quotation mark ends with one, and those inside are doubled: "say ""yes"""'
        raise DataError(f"can't be read ({err})", where=f"{where}, line {rows.line_num}", hint=hint) from err
