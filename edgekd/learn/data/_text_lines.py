"""The lines of files of texts: TSV, of which nothing is quoted, CSV, and JSON lines."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _table_files, _table_lines
from edgekd.learn.data._table_files import JSON_LINES
from edgekd.learn.data._table_lines import Line
from edgekd.tasks import LISTED

ENDINGS = (".tsv", ".tsv.gz", ".csv", ".csv.gz", JSON_LINES)
UNQUOTED = "nothing is quoted in a .tsv: save what is as .csv, with commas or semicolons"


def columns_of(path: Path, where: str) -> dict[str, list[str]]:
    """The cells of every column of a file, but of lines that lack a cell, and of columns of JSON that hold lists or
    tables; raises as ``whole``."""
    if path.name.lower().endswith(JSON_LINES):
        return _table_files.plain_cells(path, where)
    header, *rows = [line.cells for line in lines_of(path, where, lazy=False)] or [[]]
    rows = [row for row in rows if len(row) == len(header)]
    return {name: [row[i].strip() for row in rows] for i, name in enumerate(header)}


def lines_of(path: Path, where: str, lazy: bool, names: Sequence[str] = ()) -> Iterator[Line]:
    """The lines of a file, the header first; of JSON the cells of some columns alone."""
    if path.name.lower().endswith(JSON_LINES):
        yield from _objects(path, names)
        return
    delimiter, is_csv = _table_lines.delimiter_of(path, where), _table_lines.is_csv(path)
    rows = _table_lines.lines_of(path, delimiter, where) if is_csv else _of_tabs(path, where, lazy)
    for i, row in enumerate(rows):
        if i and not is_csv:
            yield row  # where a text lies is counted from the cells
            continue
        cells = [cell.strip() for cell in row.cells]
        if not i:
            _check_header(cells, f"{where}, line {row.number}", delimiter)
        yield row._replace(cells=cells)


def _check_header(header: Sequence[str], where: str, delimiter: str) -> None:
    """Raise DataError where the names of columns show that a file is of another form."""
    if any("\0" in name for name in header):
        hint = "it seems to be UTF-16: save it as UTF-8"
        raise DataError("a NUL, which no text has", where=where, allowed="UTF-8", hint=hint)
    if any("\r" in name for name in header):
        hint = "it seems to be of an old Mac: save it with ends of lines as \\n or \\r\\n"
        raise DataError("no end of a line", where=where, found=header[0][:LISTED], hint=hint)
    _table_files.check_delimiter(header, where, delimiter, ENDINGS)


def _of_tabs(path: Path, where: str, lazy: bool) -> Iterator[Line]:
    """The lines of a ``.tsv``; empty ones aside where there are several columns."""
    several = False
    for number, (start, line) in enumerate(streamed(path, where) if lazy else whole(path, where), start=1):
        cells = line.rstrip("\r").split("\t")
        several = several or len(cells) > 1
        if cells != [""] or not several:
            yield Line(number, start, start, cells)


def _objects(path: Path, names: Sequence[str]) -> Iterator[Line]:
    """The lines of a file of JSON; cells of columns that nobody names are empty."""
    read = _table_files.read(path, lambda header, _: [name for name in header if name in names])
    yield Line(1, 0, 0, list(read.header))
    nothing = [""] * len(read)
    columns = [read.columns.get(name, nothing) for name in read.header]
    for number, *cells in zip(read.places.tolist(), *columns, strict=True):
        yield Line(number, 0, 0, cells)


def whole(path: Path, where: str) -> Iterator[tuple[int, str]]:
    """The lines of a file, each with 0; the file is read at once.

    Raises:
        DataError: it can't be read, or is no UTF-8.
    """
    try:
        lines = _files.unpacked(path, where).decode("utf-8-sig").removesuffix("\n").split("\n")
    except OSError as err:
        raise DataError(f"can't be read ({err})", where=where) from err
    except UnicodeDecodeError as err:
        raise _files.no_utf8(path, where) from err
    return ((0, line) for line in lines)


def streamed(path: Path, where: str) -> Iterator[tuple[int, str]]:
    """The lines of a file, each with its first byte, read one after the other. Raises as ``whole``."""
    start = 0
    try:
        with path.open("rb") as file:
            for line in file:
                mark = len(BOM_UTF8) if not start and line.startswith(BOM_UTF8) else 0
                yield start + mark, line[mark:].decode().removesuffix("\n")
                start += len(line)
    except OSError as err:
        raise DataError(f"can't be read ({err})", where=where) from err
    except UnicodeDecodeError as err:
        raise _files.no_utf8(path, where) from err
