"""A split of which no label is known is refused; one whose labels are all alike is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._batches import from_splits
from edgekd.learn.data._joined import from_arrays
from edgekd.tasks import CLASSES, Task
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation

ROWS, PICTURES = np.random.default_rng(0).standard_normal((24, 6)).astype(np.float32), np.zeros((24, 4, 4, 1), np.uint8)
PICTURES[:] = np.arange(24, dtype=np.uint8)[:, None, None, None]
MASKS = np.random.default_rng(1).integers(0, 3, (24, 4, 4))
PAIRS = np.stack([np.arange(24) // 2, np.repeat(np.arange(12) % 3 / 2, 2)], axis=1)
# By task: labels of which some differ, one that all may have, and how that one is told.
ALIKE: dict[str, tuple[Task, np.ndarray, Any, str]] = {
    "classes": (CLASSES, np.arange(24) % 3, 1, " (1)"),
    "names": (CLASSES, np.array(["a", "b", "c"] * 8), "c", " (c)"),
    "several labels": (MultiLabel(), np.stack([np.arange(24) % 2, np.arange(24) % 3 // 2], 1), [0, 1], ""),
    "values": (Regression(), np.arange(24.0), 7.0, ""),
    "points": (Regression(points=True), np.random.default_rng(2).uniform(1, 3, (24, 2, 2)), [[1.5, 2.0]] * 2, ""),
    "masks": (Segmentation(), MASKS, 2, " (2)"),
    "anomalies": (Anomaly(0.5), np.arange(24) % 2, 0, ""),
}


def read(task: Task, y: np.ndarray, change: dict[str, Any]) -> Dataset:
    """Eight samples a split; ``change``: a split's labels in place of its own."""
    x = PICTURES if task.geometry else ROWS
    parts = {name: slice(8 * i, 8 * i + 8) for i, name in enumerate(("train", "validation", "test"))}
    labels = {name: y[part].copy() for name, part in parts.items()}
    for name, value in change.items():
        labels[name][:] = value
    return from_splits([(x[part], labels[name]) for name, part in parts.items()], "data", None, (), task)


def told(dataset: Dataset) -> list[str]:
    return [note for note in dataset.notes if "alike" in note]


@pytest.mark.parametrize("kind", ALIKE)
def test_a_split_whose_labels_are_all_alike_is_told(kind: str) -> None:
    task, y, one, name = ALIKE[kind]
    assert told(read(task, y, {})) == []
    validation = (
        f"all 8 validation samples are labelled alike{name}: their figures know no other label, and they decide"
    )
    assert told(read(task, y, {"validation": one})) == [validation]
    test = f"all 8 test samples are labelled alike{name}: their figures know no other label"
    assert told(read(task, y, {"validation": one, "test": one})) == [validation, test]


def test_of_pairs_it_is_the_score_and_pairs_without_any_belong_together() -> None:
    task, alike = Embedding(size=2), PAIRS.copy()
    alike[8:16, 1] = 0.5
    assert told(read(task, PAIRS, {})) == []
    assert len(told(read(task, alike, {}))) == 1
    assert told(read(task, PAIRS[:, 0].astype(np.int64), {})) == []


def test_what_is_not_known_is_no_other_label() -> None:
    labels = np.stack([np.arange(24) % 2, np.arange(24) % 3 // 2], 1)
    labels[8:16] = [[1, -1], [-1, 0]] * 4
    assert len(told(read(MultiLabel(), labels, {}))) == 1
    masks = MASKS.copy()
    masks[8:16] = np.where(masks[8:16] == 1, 1, 255)
    assert "(1)" in told(read(Segmentation(), masks, {}))[0]


@pytest.mark.parametrize(
    ("kind", "unknown"), [("several labels", -1), ("values", np.nan), ("points", np.nan), ("masks", 255)]
)
def test_a_split_of_which_no_label_is_known_is_refused(kind: str, unknown: float) -> None:
    task, y, _, _ = ALIKE[kind]
    with pytest.raises(DataError, match=r"data \(validation\): no label is known in this split; allowed: at least one"):
        read(task, y, {"validation": unknown})


@pytest.mark.parametrize(
    ("task", "unknown", "name"), [(MultiLabel(), -1, "label 1"), (Regression(), np.nan, "value 1")]
)
def test_a_column_of_which_a_split_knows_no_label_is_told(task: Task, unknown: float, name: str) -> None:
    y = np.stack([np.arange(24) % 2, np.arange(24) % 3 // 2], 1).astype(np.float64)
    y[8:16, 1] = y[16, 1] = unknown
    notes = [note for note in read(task, y, {}).notes if "knows no label" in note]
    assert notes == [f"validation knows no label of {name}: no figure is of it, and it decides"]


def test_pairs_without_a_score_are_none_that_is_known() -> None:
    """The numbers of the pairs are."""
    pairs = PAIRS.copy()
    pairs[8:16, 1] = np.nan
    with pytest.raises(DataError, match=r"data \(validation\): no label is known in this split"):
        read(Embedding(size=2), pairs, {})


@pytest.mark.parametrize(
    ("task", "y"), [(Anomaly(threshold=0.5), np.arange(24) % 2), (AnomalyMap(threshold=0.5), MASKS % 2)]
)
def test_training_samples_of_which_nobody_knows_are_taken_for_normal(task: Task, y: np.ndarray) -> None:
    assert (np.asarray(read(task, y, {"train": -1}).train.y) == -1).all()


def test_what_labels_of_an_own_task_mean_is_not_known() -> None:
    """-1 may be a grade there."""

    class Own(MultiLabel):
        def check(self, labels: np.ndarray, count: int, size: int, where: str) -> None: ...

    assert told(read(Own(), ALIKE["several labels"][1], {"validation": -1})) == []


def test_of_several_heads_each_is_told_once() -> None:
    kind, value = np.arange(24) % 3, np.arange(24.0)
    kind[8:16] = 1
    parts = [slice(8 * i, 8 * i + 8) for i in range(3)]
    splits = [(ROWS[part], {"kind": kind[part], "value": value[part]}) for part in parts]
    dataset = from_arrays(splits, "data", {}, (), {"kind": CLASSES, "value": Regression()})
    assert len(told(dataset)) == 1 and "(1)" in told(dataset)[0]


def test_points_in_shares_of_their_pictures_are_refused() -> None:
    task, y = Regression(points=True), np.random.default_rng(2).uniform(0, 1, (24, 3, 2))
    large = PICTURES.repeat(2, 1).repeat(2, 2)
    parts = [slice(8 * i, 8 * i + 8) for i in range(3)]
    with pytest.raises(DataError, match=r"data \(train\): points in shares of their pictures; found '0 to 1'; .*8 x 8"):
        from_splits([(large[part], y[part]) for part in parts], "data", None, (), task)
    from_splits([(large[part], 7 * y[part]) for part in parts], "data", None, (), task)


@pytest.mark.parametrize("channels", [1, 3])
def test_points_are_held_against_pictures_whose_channels_come_first(channels: int) -> None:
    x = np.random.default_rng(0).random((24, channels, 8, 16), np.float32)
    y = np.random.default_rng(2).uniform(0, 1, (24, 3, 2)) * [15, 7]
    parts = [slice(8 * i, 8 * i + 8) for i in range(3)]
    dataset = from_splits([(x[part], y[part]) for part in parts], "data", None, (), Regression(points=True))
    assert not [note for note in dataset.notes if "outside" in note]
    with pytest.raises(DataError, match=r"in shares of their pictures; .*pixels of pictures of 16 x 8"):
        from_splits([(x[part], y[part] / [15, 7]) for part in parts], "data", None, (), Regression(points=True))
    with pytest.raises(DataError, match=r"points outside of their pictures; .*16 x 8"):
        from_splits([(x[part], y[part] + [0, 8]) for part in parts], "data", None, (), Regression(points=True))


def test_a_label_below_0_is_told_where_it_is_also_beside_names() -> None:
    y = np.arange(24) % 2
    y[20] = -1
    parts = [slice(8 * i, 8 * i + 8) for i in range(3)]
    with pytest.raises(DataError, match=r"data \(test\): sample 4: a label below 0; found -1"):
        from_splits([(ROWS[part], y[part]) for part in parts], "data", ("a", "b"), (), CLASSES)
    signs = np.where(np.arange(24) % 2, 1, -1)
    named = from_splits([(ROWS[part], signs[part]) for part in parts], "data", ("-1", "1"), (), CLASSES)
    assert named.classes == ("-1", "1")
