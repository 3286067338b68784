"""Rows of CSV by where they lie: what is read at a row's place is that row, whatever its texts hold."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _table_lines
from edgekd.learn.data._table_lines import Left, Line

PIECES = ["a", "1.5", " ", ",", '"', "\n", "\r", "\r\n", "é", "日本", "\t", "x,y", ""]


def table(seed: int, end: str, mark: str) -> bytes:
    """A table of three columns whose texts hold marks, ends of lines and letters of several bytes, with empty lines."""
    rng, lines = np.random.default_rng(seed), ["a,b,c"]
    for i in range(60):
        texts = ["".join(rng.choice(PIECES, rng.integers(0, 6))) for _ in range(2)]
        quoted = ['"' + text.replace('"', '""') + '"' if {*text} & {*',"\n\r'} else text for text in texts]
        lines += [",".join([str(i), *quoted]), *[""] * int(rng.integers(4) == 0)]
    return (mark + end.join([*lines, *[""] * (seed % 2)])).encode()


def rows(path: Path) -> list[Line]:
    return list(_table_lines.lines_of(path, ",", "t"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("seed", range(4))
def test_a_row_is_found_where_it_lies(tmp_path: Path, end: str, mark: str, seed: int) -> None:
    path, data = tmp_path / "t.csv", table(seed, end, mark)
    path.write_bytes(data)
    lines = rows(path)
    plain = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    assert [(line.number, line.cells) for line in lines] == [(plain.line_num, cells) for cells in plain if cells]
    assert len(lines) == 61
    for line in lines:
        text = data[line.start : line.stop].decode()
        assert _table_lines.row_of(text, ",", "t") == line.cells
    starts = np.array([line.start for line in lines[1:]])
    sizes = np.array([line.stop - line.start for line in lines[1:]], np.int32)
    left = Left(str(path), _files.stamp_of(path.stat()), ",", ["a", "b", "c"], starts, sizes)
    for index in (np.arange(60), np.array([59, 3, 3, 0]), slice(10, 12), np.zeros(0, np.int64)):
        texts = left.some(index).columns(["c", "a"], "t")
        wanted = [lines[1:][i] for i in np.arange(60)[index]]
        assert list(texts) == ["c", "a"]
        assert texts["c"] == [line.cells[2].strip() for line in wanted]
        assert texts["a"] == [line.cells[0] for line in wanted]


def test_a_packed_file_has_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(table(0, "\n", "\ufeff"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(table(0, "\n", "\ufeff")))
    assert [line.cells for line in rows(tmp_path / "t.csv")] == [line.cells for line in rows(tmp_path / "t.csv.gz")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'a,b\n1,"two\n3,4\n', "t, line 3: can't be read .*doubled"),
        (b'a,b\n1,2\n3,"4"5\n', "t, line 3: can't be read .*doubled"),
        (b"a,b\n1,2\n3,\0\n", "t, line 3: a NUL, which no text has"),
        (b"a,b\n1,2\n3,\xe9\n", "t, line 3: not UTF-8; .*save it as UTF-8"),
    ],
)
def test_what_is_no_table_is_told_by_its_line(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(DataError, match=why):
        rows(tmp_path / "t.csv")


@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_rows_of_a_file_that_has_changed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(table(0, "\n", ""))
    lines, stamp = rows(path), _files.stamp_of(path.stat())
    left = Left(str(path), stamp, ",", ["a", "b", "c"], np.array([lines[-1].start]), np.array([4], np.int32))
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"1,2,3\n" if change == "longer" else b"a,b,c\n")
    why = "can't be read any more" if change == "gone" else "has changed since the build began"
    with pytest.raises(DataError, match=f"data.path: t.csv: .*{why}"):
        left.columns(["a"], "data.path: t.csv")
