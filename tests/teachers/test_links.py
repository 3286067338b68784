"""Recorded answers of labels and of values: each form becomes the scores of which the task makes it again."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import DataError, RecipeError
from edgekd.build import request as requests
from edgekd.build.prepare import Objects, prepare
from edgekd.learn.data import from_splits
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment
from edgekd.tasks import CLASSES, Task
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.teachers import Asked, _links
from edgekd.teachers.callable import Callable
from edgekd.teachers.recorded import Recorded

NAMES = ("warm", "loud", "far")
COUNT = 6
X = np.random.default_rng(0).standard_normal((3 * COUNT, 4)).astype(np.float32)
BITS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1]] * 3)
SPLITS = {
    split: {"x": X[i * COUNT : (i + 1) * COUNT], "y": BITS[i * COUNT : (i + 1) * COUNT]}
    for i, split in enumerate(("train", "validation", "test"))
}
LOGITS = (3 * np.random.default_rng(1).standard_normal((3 * COUNT, 3))).astype(np.float32)
SHARES = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
IDS = [f"{split}/{i}" for split in ("train", "validation", "test") for i in range(COUNT)]
SURE = 87.33654  # log of the smallest normal float32, of which no probability is


def asked(task: Task, notes: list[str] | None = None) -> Asked:
    labels = BITS if isinstance(task, MultiLabel) else BITS.astype(np.float32)
    splits = [(X[i : i + COUNT], labels[i : i + COUNT]) for i in range(0, 3 * COUNT, COUNT)]
    data = from_splits(splits, "data", NAMES, task=task)
    heard: list[str] = [] if notes is None else notes
    place, tell = Path("/nonexistent"), heard.append
    return Asked(Feed(data, (), Augment(), 0), data.splits, NAMES, None, place, "", "teacher.model", tell, tell, task)


def read(path: Path, task: Task, notes: list[str] | None = None, **keys: Any) -> np.ndarray:
    answers = Recorded(str(path), **keys).answers(asked(task, notes))
    return np.concatenate([answers.split(split) for split in ("train", "validation", "test")])


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path / "a.npz", ids=IDS, **arrays)
    return path / "a.npz"


def table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with (path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", *header], *([name, *row] for name, row in zip(IDS, rows, strict=True))])
    return path / "a.csv"


def lines(path: Path, values: Sequence[Any], key: str) -> Path:
    rows = [json.dumps({"id": name, key: value}) + "\n" for name, value in zip(IDS, values, strict=True)]
    (path / "a.jsonl").write_text("".join(rows))
    return path / "a.jsonl"


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_a_share_leads_back_to_its_score(row: list[float]) -> None:
    scores = np.array([row])
    for task in (MultiLabel(), Regression()):
        np.testing.assert_allclose(_links.of_shares(task.shares(scores), task), scores, rtol=1e-3, atol=1e-4)
    again = CLASSES.shares(_links.of_shares(CLASSES.shares(scores), CLASSES))
    np.testing.assert_allclose(again, CLASSES.shares(scores), rtol=1e-4, atol=1e-30)


def test_probabilities_are_of_each_label_and_sum_to_nothing(tmp_path: Path) -> None:
    notes: list[str] = []
    for path in (npz(tmp_path, probabilities=SHARES), lines(tmp_path, SHARES.tolist(), "probabilities")):
        np.testing.assert_allclose(read(path, MultiLabel()), LOGITS, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        read(npz(tmp_path, log_probabilities=np.log(SHARES)), MultiLabel()), LOGITS, rtol=1e-4, atol=1e-4
    )
    by_column = table(tmp_path, NAMES, SHARES.tolist())
    np.testing.assert_allclose(read(by_column, MultiLabel(), notes), LOGITS, rtol=1e-4, atol=1e-4)
    assert notes == [
        "teacher.model.path: a.csv: read as probabilities, as all lie in 0..1; teacher.model.form says otherwise"
    ]
    np.testing.assert_allclose(read(table(tmp_path, NAMES, LOGITS.tolist()), MultiLabel()), LOGITS, rtol=1e-6)
    certain = read(npz(tmp_path, probabilities=BITS.astype(float)), MultiLabel())
    np.testing.assert_allclose(certain, np.where(BITS == 1, SURE, -SURE), rtol=1e-5)


LISTS = [[name for name, bit in zip(NAMES, row, strict=True) if bit] for row in BITS]


def test_labels_are_those_that_apply_in_every_form_that_data_has(tmp_path: Path) -> None:
    wanted = np.where(BITS == 1, SURE, -SURE)
    columns = [row + [""] * (3 - len(row)) for row in LISTS]
    files = [
        lambda: npz(tmp_path, labels=BITS),
        lambda: lines(tmp_path, LISTS, "labels"),
        lambda: table(tmp_path, ["label"], [[" ".join(row)] for row in LISTS]),
        lambda: table(tmp_path, ["label_1", "label_2", "label_3"], columns),
    ]
    for make in files:
        np.testing.assert_allclose(read(make(), MultiLabel()), wanted, rtol=1e-5)
    smooth = read(npz(tmp_path, labels=BITS), MultiLabel(), smoothing=0.2)
    np.testing.assert_allclose(MultiLabel().shares(smooth), np.where(BITS == 1, 0.9, 0.1), rtol=1e-5)
    some = lines(tmp_path, [None, *LISTS[1:]], "labels")
    with pytest.raises(DataError, match=r"samples without an answer; found 'train/0'"):
        read(some, MultiLabel())
    assert np.isnan(read(some, MultiLabel(), missing="skip")[0]).all()


def test_several_answers_to_a_sample_are_votes_for_each_label(tmp_path: Path) -> None:
    three = [np.array(IDS * 3), np.concatenate([BITS, BITS, 1 - BITS])]
    np.savez(tmp_path / "a.npz", ids=three[0], labels=three[1])
    notes: list[str] = []
    found = read(tmp_path / "a.npz", MultiLabel(), notes)
    np.testing.assert_allclose(MultiLabel().shares(found), np.where(BITS == 1, 2 / 3, 1 / 3), rtol=1e-5)
    assert "18 samples have several answers, whose mean counts" in notes[0]
    np.savez(tmp_path / "a.npz", ids=IDS * 2, logits=np.concatenate([LOGITS, LOGITS + 1]))
    np.testing.assert_allclose(read(tmp_path / "a.npz", Regression()), LOGITS + 0.5, rtol=1e-4, atol=1e-6)


def test_values_are_what_they_are(tmp_path: Path) -> None:
    shares = np.full((3 * COUNT, 3), [0.5, 0.25, 0.25])
    notes: list[str] = []
    np.testing.assert_array_equal(read(table(tmp_path, NAMES, shares.tolist()), Regression(), notes), shares)
    assert not notes, "rows that sum to 1 are values as any others"


WRONG: list[tuple[Task, str, Any, dict[str, Any], str]] = [
    (MultiLabel(), "probabilities", SHARES + 0.5, {}, "probabilities outside of 0 to 1; found 'row 0, row"),
    (MultiLabel(), "labels", BITS * 2, {}, "row 0: a label that neither applies nor does not; found 2"),
    (MultiLabel(), "labels", np.where(BITS == 1, 1, -1), {}, "a label that nobody knows"),
    (MultiLabel(), "probabilities", np.where(BITS == 1, np.nan, 0.5), {}, "rows without a number for some class"),
    (Regression(), "probabilities", SHARES, {}, "the task has none of; found 'probabilities'; allowed: logits"),
    (Regression(), "labels", BITS, {}, "answers that the task has none of; found 'labels'"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "form", "values", "keys", "message"), WRONG)
def test_what_says_nothing_of_the_task_is_refused(
    tmp_path: Path, task: Task, form: str, values: Any, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(npz(tmp_path, **{form: values}), task, **keys)


def test_the_best_few_and_labels_to_pass_over_are_of_classes(tmp_path: Path) -> None:
    best = lines(tmp_path, [{"warm": 0.9}] * len(IDS), "top")
    with pytest.raises(DataError, match="the best few say nothing of the other labels"):
        read(best, MultiLabel())
    partial = lines(tmp_path, [{"warm": 0.9}] * len(IDS), "probabilities")
    with pytest.raises(DataError, match="rows without a number for some class"):
        read(partial, MultiLabel())
    with pytest.raises(RecipeError, match=r"teacher\.model\.unknown: no classes to pass over"):
        read(best, MultiLabel(), unknown="skip")
    with pytest.raises(DataError, match=r"teacher\.model\.form: answers that the task has none of; found 'top'"):
        Callable("m:f", "1", form="top").answers(asked(MultiLabel()))


def answer(samples: np.ndarray) -> np.ndarray:
    """A function of a user's own: probabilities of each label."""
    return 1 / (1 + np.exp(-samples[:, :3].astype(np.float64)))


def test_a_function_says_probabilities_too(tmp_path: Path) -> None:
    task = MultiLabel()
    told = asked(task)
    one = Callable(f"{__name__}:answer", "1", form="probabilities")
    found = one.answers(Asked(**{**vars(told), "folder": tmp_path})).split("test")
    np.testing.assert_allclose(found, X[-COUNT:, :3], rtol=1e-4, atol=1e-5)
    other = Callable(f"{__name__}:answer", "1", form="probabilities")
    kept = [other.answers(Asked(**{**vars(told), "task": of, "folder": tmp_path})) for of in (task, MultiLabel(0.7))]
    assert kept[0]._identity == kept[1]._identity, "no threshold asks a service again"  # type: ignore[attr-defined]


def test_a_build_reads_them_by_the_task_of_its_recipe(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {f"{k}_{split}": part for split, at in SPLITS.items() for k, part in at.items()}
    np.savez(tmp_path / "data.npz", **arrays, classes=np.array(NAMES))
    own = {"x_validation": "x_validation", "y_validation": "y_validation"}
    recipe = {
        "name": "labels",
        "task": "multi_label",
        "data": {"source": "npz", "path": str(tmp_path / "data.npz"), "samples": "numbers", **own},
        "teacher": {"model": {"kind": "recorded", "path": str(npz(tmp_path, probabilities=SHARES))}},
        "student": {"model": {"kind": "mlp", "width": 8}, "epochs": 1},
        "losses": [{"kind": "kl"}],
    }
    workspace = prepare(requests.make(recipe, ["ort-cpu"], cache=tmp_path / "cache"), Objects())
    found = workspace.sources["teacher"].split("test")
    np.testing.assert_allclose(found, LOGITS[-COUNT:], rtol=1e-4, atol=1e-4)
