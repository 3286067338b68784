"""Labels of every task, in every source that has more than classes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from edgekd.base import plugins
from edgekd.base.errors import DataError, RecipeError
from edgekd.learn.data import Dataset, loaded
from edgekd.tasks import Task
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression

ROWS = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]] * 6)
VALUES = np.array([[190.0], [math.nan], [7.5], [400.0]] * 6, np.float32)
NAMES = ("far", "loud", "warm")
TEXTS = [" ".join(NAMES[c] for c in np.flatnonzero(row)) for row in ROWS]


def npz(folder: Path, y: np.ndarray) -> dict[str, Any]:
    x = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    return {"kind": "npz", "path": str(folder / "d.npz"), "samples": "numbers"}


def tsv(folder: Path, column: list[str]) -> dict[str, Any]:
    lines = ["sentence\tlabel", *(f"a word {i}\t{cell}" for i, cell in enumerate(column))]
    (folder / "d.tsv").write_text("\n".join(lines))
    return {"kind": "text", "path": str(folder / "d.tsv"), "vocab": 100}


def arrow(folder: Path, column: Any) -> dict[str, Any]:
    texts = [f"a word {i}" for i in range(24)]
    parquet.write_table(pyarrow.table({"text": texts, "label": column}), folder / "train.parquet")
    return {"kind": "arrow", "path": str(folder), "x": "text", "vocab": 100}


def read(table: dict[str, Any], task: Task) -> Dataset:
    return loaded(plugins.build("data", table, "data"), task)


def every(dataset: Dataset) -> np.ndarray:
    labels = [split.y for split in dataset.splits.values()]
    return np.concatenate([y for y in labels if y is not None])


@pytest.mark.parametrize("make", [lambda f: npz(f, ROWS), lambda f: tsv(f, TEXTS), lambda f: arrow(f, TEXTS)])
def test_several_labels_a_sample(tmp_path: Path, make: Any) -> None:
    table = {**make(tmp_path)}
    dataset = read(table, MultiLabel())
    names = NAMES if table["kind"] != "npz" else ("label 0", "label 1", "label 2")
    assert dataset.classes == names
    labels = every(dataset)
    assert labels.dtype == np.int64 and labels.shape[1] == 3
    assert {tuple(row) for row in labels} == {tuple(row) for row in ROWS}


@pytest.mark.parametrize(
    "make",
    [
        lambda f: npz(f, VALUES),
        lambda f: npz(f, VALUES[:, 0]),
        lambda f: tsv(f, [f"{v:g}" if v == v else "" for v in VALUES[:, 0]]),
        lambda f: arrow(f, [f"{v:g}" for v in np.nan_to_num(VALUES[:, 0])]),
    ],
)
def test_values(tmp_path: Path, make: Any) -> None:
    dataset = read(make(tmp_path), Regression())
    labels = every(dataset)
    assert dataset.classes == ("value",) and labels.dtype == np.float32 and labels.shape[1] == 1
    assert {190.0, 7.5, 400.0} <= set(labels[:, 0].tolist())


def test_rows_of_numbers_are_counted_in_their_own_spread(tmp_path: Path) -> None:
    dataset = read(npz(tmp_path, ROWS), MultiLabel())
    (op,) = dataset.preprocess
    assert op["op"] == "normalise" and len(op["mean"]) == len(op["std"]) == 5
    x = np.asarray(dataset.train.x)
    assert x.dtype == np.float32
    np.testing.assert_allclose((x - op["mean"]) / op["std"], (x - x.mean(0)) / x.std(0), atol=1e-5)


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.y_train: sample 0: a label that neither applies nor does not; found 5"):
        read(npz(tmp_path, np.full((24, 2), 5)), MultiLabel())
    with pytest.raises(DataError, match=r"line 3: a label that is no number; found 'much'"):
        read(tsv(tmp_path, ["1", "much", *["2"] * 22]), Regression())
    with pytest.raises(RecipeError, match="the labels of this source are classes alone; found 'Digits'"):
        read({"kind": "digits"}, Regression())
    with pytest.raises(RecipeError, match=r"data\.offsets: allowed is none"):
        read({"kind": "npz", "path": "d.npz", "samples": "numbers", "offsets": "offsets"}, Regression())
    flat = npz(tmp_path, ROWS)
    np.savez(tmp_path / "d.npz", x_train=np.arange(24.0), y_train=ROWS, x_test=np.arange(8.0), y_test=ROWS[:8])
    with pytest.raises(DataError, match="not rows of numbers"):
        read(flat, MultiLabel())
