"""Files of tables as columns of texts: the same of every form, and what none of them may be."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from edgekd.base.errors import DataError, UnavailableError
from edgekd.learn.data import _arrow, _table_files
from edgekd.learn.data._table_files import Cells

TEXT = 'a,name,b\n1.5,"Meyer, ""Max""",NA\n\n,plain, x y \n"2","two\nlines",0\n'


def every(header: list[str], where: str) -> list[str]:
    return header


def read(path: Path, data: bytes) -> Cells:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return _table_files.read(path, every)


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.csv.gz", "t.tsv", "t.tsv.gz"])
def test_texts_are_read_alike(tmp_path: Path, name: str) -> None:
    text = TEXT if "csv" in name.lower() else TEXT.replace(",", "\t").replace("Meyer\t", "Meyer,")
    for data in (text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()):
        cells = read(tmp_path / name, data)
        assert cells.columns["a"] == ["1.5", "", "2"] and cells.columns["b"] == ["NA", "x y", "0"]
        assert cells.columns["name"][:2] == ['Meyer, "Max"', "plain"]
        assert cells.columns["name"][2].split() == ["two", "lines"]
        assert cells.places.tolist() == [2, 4, 6] and cells.at(1) == f"data.path: {name}, line 4"


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32)
    given = bits.view(np.float32)
    numbers: list[float | None] = [*given[np.isfinite(given)].tolist(), None, None]
    numbers += [0.0, -0.0, 0.1, 1e-45, 3.4028234663852886e38]
    wanted = np.array([np.nan if number is None else number for number in numbers])
    lines = ["" if number is None else repr(number) for number in numbers]
    cells = read(tmp_path / "t.csv", "\n".join(["a,b", *(f"{line},x" for line in lines)]).encode())
    parquet.write_table(pyarrow.table({"a": pyarrow.array(numbers, pyarrow.float64())}), tmp_path / "t.parquet")
    for each in (cells, _table_files.read(tmp_path / "t.parquet", every)):
        column, word = each.numbers("a")
        assert word is None and np.isnan(wanted).any()
        assert np.array_equal(column, wanted, equal_nan=True)


def test_parquet_is_read_as_a_file_of_texts_would_be(tmp_path: Path) -> None:
    table = {
        "count": pyarrow.array([1, None, 3]),
        "mass": pyarrow.array([0.1, 2.0, None], pyarrow.float32()),
        "is": pyarrow.array([True, None, False]),
        "kind": pyarrow.array([" a ", None, "b"]).dictionary_encode(),
        "day": pyarrow.array([datetime.date(2024, 2, 29), None, None]),
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    cells = _table_files.read(tmp_path / "t.parquet", every)
    assert cells.columns["count"] == ["1", "", "3"] and cells.columns["is"] == ["True", "", "False"]
    assert cells.columns["kind"] == ["a", "", "b"] and cells.columns["day"] == ["2024-02-29", "", ""]
    assert cells.numbers("mass")[0][:2].astype(np.float32).tolist() == [np.float32(0.1), 2.0]
    assert cells.at(2) == "data.path: t.parquet, row 2"
    nested = {"a": [1], "bag": pyarrow.array([[1, 2]])}
    parquet.write_table(pyarrow.table(nested), tmp_path / "n.parquet")
    with pytest.raises(DataError, match=r"n.parquet, row 0: bag: no value of a table; found 'list'"):
        _table_files.read(tmp_path / "n.parquet", every)
    assert _table_files.read(tmp_path / "n.parquet", lambda header, where: ["a"]).columns == {"a": ["1"]}


def test_words_and_rows_of_a_column(tmp_path: Path) -> None:
    cells = read(tmp_path / "t.csv", b"a,b\n1,2\nnull,3\nmany,4\n")
    numbers, word = cells.numbers("a")
    assert word == 2 and numbers[0] == 1 and np.isnan(numbers[1:]).all()
    some = cells.some(np.array([2, 0]))
    assert some.columns == {"a": ["many", "1"], "b": ["4", "2"]} and some.at(0) == "data.path: t.csv, line 4"


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("t.csv", b"", "no line with the names of the columns"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "line 3: another number of columns than the header; found 3; allowed: 2"),
        ("t.csv", b",a\n0,1\n", r"a column without a name; .*index=False"),
        ("t.csv", b"a,b,a\n1,2,3\n", "two columns of this name; found 'a'"),
        ("t.csv", b"a|b\n1|2\n", "one column alone, with another mark inside; found 'bar'; allowed: a comma"),
        ("t.tsv", b"a;b\n1;2\n", "one column alone, with another mark inside; found 'semicolon'; allowed: a tab"),
        ("t.csv", b"a,b\n1,\xff\n", "not UTF-8"),
        ("t.csv", b"a,b\n1,2\n\0,3\n", "line 3: a NUL"),
        ("t.csv", b'a,b\n"open,2\n1,2\n', "line 3: can't be read .*quotation mark"),
        ("t.csv.gz", b"", "no line with the names"),
        ("t.parquet", b"PAR1", "can't be read"),
        ("t.txt", b"a,b\n1,2\n", r"no file of a table; found 't.txt'; allowed: \*.csv, \*.csv.gz, \*.tsv"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read(tmp_path / name, data)


def test_without_pyarrow_csv_is_read_and_parquet_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_arrow, "MISSING", "no module named pyarrow")
    assert len(read(tmp_path / "t.csv", b"a,b\n1,2\n")) == 1
    with pytest.raises(UnavailableError, match=r"pip install 'edgekd\[parquet\]'"):
        read(tmp_path / "t.parquet", b"")
