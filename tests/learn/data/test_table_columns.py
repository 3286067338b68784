"""Rows of a table that are left in their file: they, and what is learned of them, are those in memory bit for bit."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from edgekd.base import host
from edgekd.base.errors import DataError, RecipeError
from edgekd.build import set_up
from edgekd.learn import predictions, train
from edgekd.learn.data import _table_files
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._joined import LabelsByHead
from edgekd.learn.data._lazy import Lazy
from edgekd.learn.data.table import Table
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.spec.recipe import Augment, Schedule
from edgekd.tasks.regression import Regression


def quoted(path: Path, count: int = 120) -> str:
    """A table whose texts hold commas, marks and ends of lines; numbers with gaps; a name in every row; groups."""
    rng = np.random.default_rng(0)
    lines = ["n,kind,many,temp,day,split,id,label"]
    for i in range(count):
        kind = ('"a, b"', '"say ""yes"""', '"two\r\nlines"', "plain", "")[i % 5]
        number = "" if i % 7 == 3 else repr(float(np.float32(rng.standard_normal() * 10.0 ** rng.integers(-3, 4))))
        role = ("train", "train", "train", "val", "test")[rng.integers(5)]
        lines += [
            f"{number},{kind},k{i % 70},{i % 13},d{i // 4},{role},r{i},{('yes', 'no')[i % 2]}",
            *[""] * (i % 9 == 0),
        ]
    path.write_bytes("\n".join(lines).encode())
    return str(path)


def check_alike(here: Dataset, there: Dataset) -> None:
    assert here.preprocess == there.preprocess and here.classes == there.classes and here.notes == there.notes
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert isinstance(mine.x, np.ndarray) and isinstance(theirs.x, Lazy)
        assert theirs.x.dtype == mine.x.dtype and np.asarray(theirs.x).tobytes() == mine.x.tobytes()
        assert mine.names == theirs.names and mine.y is not None and theirs.y is not None
        assert np.array_equal(mine.y, theirs.y)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "keys",
    [
        {"split": "split", "id": "id"},
        {"groups": "day", "limit": 90},
        {"columns": ("temp", "kind"), "categories": ("temp", "kind"), "values": 3},
        {"columns": ("many", "label_"), "label": "label", "id": "label_"},
    ],
    ids=["split", "carved", "few", "an id that is read"],
)
def test_rows_in_their_file_are_those_in_memory(tmp_path: Path, keys: dict[str, Any], workers: int) -> None:
    path = quoted(tmp_path / "t.csv")
    if "label_" in keys.get("columns", ()):
        Path(path).write_text(Path(path).read_text().replace(",id,", ",label_,", 1))
    keys = {"label": "label", **keys}
    check_alike(Table(path, **keys).load(), Table(path, **keys, lazy=True, workers=workers).load())


def plain(path: Path, count: int = 40) -> str:
    """A table of which month has a word in one row, a validation row."""
    lines = [
        f"{i / 10},{'May' if i == 2 else i % 12},{('sun', 'rain')[i % 2] if i % 8 else ''},{-i},{10 * i}"
        for i in range(count)
    ]
    roles = ("train", "train", "val", "test")
    path.write_text(
        "\n".join(["temp,month,kind,wind,count,split", *(f"{line},{roles[i % 4]}" for i, line in enumerate(lines))])
    )
    return str(path)


def test_rows_of_a_file_a_split_and_of_tabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows as are read at once, and others."""
    monkeypatch.setattr(_table_files, "AT_ONCE", 7)
    for name, count in (("train", 21), ("dev", 20), ("test", 5)):
        path = Path(plain(tmp_path / f"{name}.tsv", count))
        path.write_text("\ufeff" + path.read_text().replace(",", "\t"), encoding="utf-8")
    heads = {"count": Regression(), "wind": Regression()}
    keys: dict[str, Any] = {"path": str(tmp_path), "columns": ("temp", "kind"), "workers": 0}
    check_alike(*(Table(label="count", lazy=lazy, **keys).load(Regression()) for lazy in (False, True)))
    here, there = (
        LabelsByHead({name: Table(label=name, lazy=lazy, **keys) for name in heads}).load(heads)
        for lazy in (False, True)
    )
    check_alike(here, there)


def fitted(path: str, lazy: bool, workers: int) -> dict[str, torch.Tensor]:
    """The weights of a perceptron after two epochs, and what it answers."""
    data = Table(path, lazy=lazy, workers=workers, split="split", id="id").load()
    feed = Feed(data, data.preprocess, Augment(), 0)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(feed.sample_shape[0], 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    job = train.TrainingJob(make_terms([{"kind": "cross_entropy"}]), feed, Schedule(epochs=2, batch_size=7), 0)
    train.fit(net, job)
    return {**net.state_dict(), "test": torch.tensor(predictions.predict(net, feed, "test"))}


def test_the_same_weights_byte_for_byte(tmp_path: Path) -> None:
    path = quoted(tmp_path / "t.csv")
    here = fitted(path, lazy=False, workers=0)
    for workers in (0, 1, 8):
        there = fitted(path, lazy=True, workers=workers)
        assert all(torch.equal(here[name], there[name]) for name in here), f"{workers} workers"


def test_a_word_that_training_rows_have_not_is_told_by_its_line(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"columns": ("month", "kind"), "categories": ("kind",), "split": "split", "label": "count"}
    for lazy in (False, True):
        with pytest.raises(DataError, match=r"t.csv, line 4: month: a word in a column of numbers; found 'May'"):
            Table(plain(tmp_path / "t.csv"), lazy=lazy, **keys).load(Regression())


def test_files_whose_rows_are_not_found_are_refused_or_held(tmp_path: Path) -> None:
    parquet.write_table(arrow_csv.read_csv(plain(tmp_path / "t.csv")), tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    for name in ("t.parquet", "t.csv.gz"):
        table = {"path": str(tmp_path / name), "columns": ("temp",), "label": "count"}
        assert isinstance(Table(**table).load(Regression()).train.x, np.ndarray)  # type: ignore[arg-type]
        with pytest.raises(
            DataError, match=rf"data.lazy: packed, or .*; found '{name}'; allowed: a plain .csv or .tsv"
        ):
            Table(**table, lazy=True).load(Regression())  # type: ignore[arg-type]


def test_what_takes_much_of_the_memory_stays_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = quoted(tmp_path / "t.csv")
    monkeypatch.setattr(host, "memory", lambda: Path(path).stat().st_size)
    dataset = Table(path, split="split", id="id", workers=0).load()
    assert isinstance(dataset.train.x, Lazy)
    assert any("train would take more than a quarter" in note and "(data.lazy)" in note for note in dataset.notes)


def test_gaps_of_rows_that_are_left_are_refused_too(tmp_path: Path) -> None:
    dataset = Table(quoted(tmp_path / "t.csv"), split="split", id="id", lazy=True, workers=0).load()
    with pytest.raises(RecipeError, match=r"data.preprocess: a table with missing values"):
        set_up._check_gaps(dataset, [{"op": "normalise", "mean": 0.0, "std": 1.0}])


def test_a_table_that_changes_while_it_is_learned_from(tmp_path: Path) -> None:
    x = Table(quoted(tmp_path / "t.csv"), lazy=True, workers=0).load().train.x
    quoted(tmp_path / "t.csv", 121)
    with pytest.raises(DataError, match=r"data.path: t.csv: the file has changed since the build began"):
        np.asarray(x)
