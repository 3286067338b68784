"""Lines of files of texts: what stands between the cells, what is empty, what is no such file."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data._text_lines import columns_of
from edgekd.learn.data.text import Text

ROWS = [(f"{'fine' if i % 2 else 'poor'} film, of number {i}", str(i % 2)) for i in range(30)]


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz"])
@pytest.mark.parametrize("lazy", [False, True])
def test_semicolons_part_columns_where_the_header_has_them_alone(tmp_path: Path, name: str, lazy: bool) -> None:
    lines = ['"sentence";"label"', *(f'"{text}; ""so""\nit is";{label}' for text, label in ROWS)]
    text = "\r\n".join(lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    data = Text(str(tmp_path / name), vocab=100, lazy=lazy and not name.endswith(".gz")).load()
    texts = {text for split in data.splits.values() for text in np.asarray(split.x).tolist()}
    assert texts == {f'{text}; "so"\nit is' for text, _ in ROWS} and data.classes == ("0", "1")


@pytest.mark.parametrize("lazy", [False, True])
def test_blanks_around_names_and_labels_and_empty_lines_of_tabs_say_nothing(tmp_path: Path, lazy: bool) -> None:
    lines = ["sentence \t label", *(f" {text}\t{label} " for text, label in ROWS), "", ""]
    (tmp_path / "d.tsv").write_text("\n".join(lines))
    data = Text(str(tmp_path / "d.tsv"), vocab=100, lazy=lazy).load()
    assert data.classes == ("0", "1") and str(data.train.x[0]) == " poor film, of number 0"


def test_a_text_may_be_a_book(tmp_path: Path) -> None:
    lines = ["sentence,label", *(f'"{text}",{label}' for text, label in ROWS), f'"{"word, " * 30_000}",1']
    (tmp_path / "d.csv").write_text("\n".join(lines))
    assert len(columns_of(tmp_path / "d.csv", "here")["sentence"][-1]) == 6 * 30_000 - 1


def test_columns_of_json_that_hold_lists_are_empty(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a b", "of": [1]}\n{"text": "c d", "label": true}\n')
    assert columns_of(tmp_path / "d.jsonl", "here") == {"text": ["a b", "c d"], "of": [], "label": ["", "True"]}


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        (
            "d.tsv",
            'sentence\tlabel\n"a\tb"\t1\n',
            r"line 2: another number.*found 3; .*2, .*nothing is quoted",
        ),
        ("d.tsv", '"sentence"\t"label"\n"a"\t"1"\n', r"data\.sentence: no such column.*nothing is quoted in a"),
        (
            "d.tsv",
            "sentence,label\na,1\n",
            "line 1: one column alone.*; found 'comma'; .* a tab",
        ),
        ("d.csv", "sentence|label\na|1\n", "line 1: one column alone, with another mark inside; found 'bar'"),
        ("d.tsv", "sentence\tlabel\ra b\t1\rc d\t0\r", "line 1: no end of a line; .*of an old Mac"),
        ("d.tsv", "sentence\tlabel\na\t1\n".encode("utf-16-le").decode(), "line 1: a NUL.*seems to be UTF-16"),
        ("d.tsv", "a b\t1\nc d\t0\n", "line 1, data.sentence: no such column.*the first line names the columns"),
    ],
)
def test_what_is_no_such_file_says_what_it_seems_to_be(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    with pytest.raises(DataError, match=why):
        Text(str(tmp_path / name), vocab=100).load()


def test_texts_that_pandas_quoted_are_told(tmp_path: Path) -> None:
    rows = [*ROWS, ('"a ""fine"" film"', "1"), ('"fine"', "1")]
    (tmp_path / "d.tsv").write_text("\n".join("\t".join(row) for row in (("sentence", "label"), *rows)))
    notes = Text(str(tmp_path / "d.tsv"), vocab=100).load().notes
    assert any(
        "1 texts stand in quotation marks, with such doubled inside: nothing is quoted" in note for note in notes
    )
