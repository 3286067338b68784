"""Tags in files: a label for each token, and what a file gets wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data._tagged import of_tokens
from edgekd.learn.data.text import Text
from edgekd.tasks import IGNORED
from edgekd.tasks.tagging import Tagging

ROWS = ["play blues\tO B-what", "blues by ann lee\tB-what O B-who I-who", "by ann\tO B-who", "play lee\tO B-who"]


def source(folder: Path, rows: list[str], **keys: object) -> Text:
    for name in ("train", "dev", "test"):
        (folder / f"{name}.tsv").write_text("\n".join(["tokens\ttags", *rows]) + "\n")
    return Text(str(folder), sentence="tokens", label="tags", vocab=100, **keys)  # type: ignore[arg-type]


def test_a_word_has_its_tag_at_its_first_token(tmp_path: Path) -> None:
    data = source(tmp_path, ROWS, length=8).load(Tagging())
    assert data.classes == ("O", "B-what", "I-what", "B-who", "I-who")
    y, op = data.train.y, data.preprocess[-1]
    assert y is not None and y.shape == (4, 8)
    counts = (y != IGNORED).sum(axis=1)
    assert all(count <= 6 for count in counts) and (y[:, 0] == IGNORED).all()
    lengths = [[len(op["vocabulary"].tokens(w, True)) for w in row.split("\t")[0].split()] for row in ROWS]
    for row, pieces, number in zip(y, lengths, counts, strict=True):
        starts = [s for s in 1 + np.cumsum([0, *pieces[:-1]]) if s < 7]
        assert np.flatnonzero(row != IGNORED).tolist() == starts and len(starts) == number
    assert data.heads_of(Tagging()).shapes == {"logits": (8, 5)}
    assert of_tokens(["play"], np.array([[3]]), op)[0, 1] == 3


WRONG = [
    ("play blues\tO", r"train.tsv, line 6: another number of tags than words; found 1; allowed: 2, one for each word"),
    ("play\tO O", r"line 6: another number of tags than words"),
    ("play\t", r"line 6: another number of tags than words; found 0"),
    ("play blues\tO I-what", r"line 6, word 1: an I- that continues nothing"),
    ("play\tsong", r"line 6: no tag of the BIO scheme; found 'song'"),
]


@pytest.mark.parametrize(("row", "message"), WRONG)
def test_what_a_file_gets_wrong_names_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        source(tmp_path, [*ROWS, row]).load(Tagging())
