"""Ids of recorded answers find samples that spell them otherwise, and never others."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data import Split, loaded
from edgekd.learn.data.table import Table
from edgekd.learn.data.text import Text
from edgekd.tasks import CLASSES
from edgekd.teachers._classes import Classes
from edgekd.teachers._ids import renamed
from edgekd.teachers.recorded import Recorded

NAMES = [f"{kind}/{i:02d}.png" for kind in ("grün", "red car") for i in range(6)]


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("spelled", "note"),
    [
        (lambda one: one, ""),
        (lambda one: one.replace("/", "\\"), ""),
        (lambda one: f"./{one}", ""),
        (nfd, ""),
        (lambda one: f"data/pics/{one}", "with 'data/pics/' in front"),
        (lambda one: one[:-4], "without their ending"),
        (lambda one: f"pics\\{one[:-4]}", "with 'pics/' in front and without their ending"),
    ],
)
def test_other_spellings_are_those_of_samples(spelled: Callable[[str], str], note: str) -> None:
    known = renamed([spelled(one) for one in NAMES[::-1]], NAMES)
    assert list(known.ids) == NAMES[::-1] and known.known == len(NAMES)
    assert note in known.note and bool(note) == bool(known.note)


def test_a_name_without_its_folder_counts_where_it_is_one_samples_alone() -> None:
    bare = [one.split("/")[1] for one in NAMES]
    assert renamed(bare, NAMES).known == 0  # each is there twice
    apart = [f"{i}/{i:02d}.png" for i in range(5)]
    assert list(renamed(["03.png", "01.png"], apart).ids) == [apart[3], apart[1]]


def test_what_would_tell_most_is_named_and_not_taken() -> None:
    ids = [one[:-4] for one in NAMES[:-1]] + ["elsewhere"]
    known = renamed(ids, NAMES)
    assert known.known == 0 and not known.note and known.likely == "11 of 12 are samples' without their ending"


def answers(path: Path, ids: list[str], column: str = "id") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[column, "neg", "pos"], *([one, 0.9, 0.1] for one in ids)])
    return path


def matched(path: Path, splits: dict[str, Split], **keys: str) -> list[str]:
    notes: list[str] = []
    Recorded(str(path), **keys).matched(splits, Classes(("neg", "pos")), CLASSES, "teacher.model", notes.append)  # type: ignore[arg-type]
    return notes


@pytest.mark.parametrize("kind", [Text, Table])
def test_ids_are_no_row_numbers_where_the_data_has_a_column_of_them(tmp_path: Path, kind: type) -> None:
    order = np.random.default_rng(0).permutation(40)
    with (tmp_path / "data.csv").open("w", newline="") as file:
        rows = [[one, f"a film of {one}" if kind is Text else one % 7, ("neg", "pos")[one % 2]] for one in order]
        csv.writer(file).writerows([["id", "sentence", "label"], *rows])
    path = answers(tmp_path / "a.csv", [str(i) for i in range(40)])
    counted = loaded(kind(str(tmp_path / "data.csv")), CLASSES).splits
    with pytest.raises(DataError, match=re.escape('data.id = "id" calls samples by it, teacher.model.id = ""')):
        matched(path, dict(counted))
    assert matched(path, dict(counted), id="")
    named = loaded(kind(str(tmp_path / "data.csv"), id="id"), CLASSES).splits
    assert matched(path, dict(named))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["x", "y"], "ids of no sample.*write them as samples are called; teacher.model.id"),
        (["a/1.png", "y"], 'ids of no sample.*teacher.model.extra = "skip"'),
    ],
)
def test_skipping_is_the_way_out_where_some_ids_are_samples(tmp_path: Path, ids: list[str], message: str) -> None:
    split = Split(np.zeros((2, 1), np.float32), None, np.array(["a/1.png", "b/2.png"], object))
    with pytest.raises(DataError, match=message):
        matched(answers(tmp_path / "a.csv", ids), {"train": split})
    with pytest.raises(DataError, match=r'teacher\.model\.id = "path" takes that column for ids'):
        matched(answers(tmp_path / "b.csv", ids, "path"), {"train": split})
