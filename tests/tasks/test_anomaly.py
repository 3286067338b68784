"""Anomalies: labels in every form, decisions at a threshold, and what tells nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from edgekd.base.errors import DataError, IntegrityError, RecipeError
from edgekd.metrics import Evaluator
from edgekd.metrics.auc import Auc
from edgekd.runtime import thresholds
from edgekd.tasks import Anomaly as Answer
from edgekd.tasks import Heads, make_task
from edgekd.tasks.anomaly import Anomaly

CLASSES = ("free", "crack", "fray")


def at(split: str, i: int) -> str:
    return f"{split}: sample {i}"


def numbered(task: Anomaly, labels: Any, names: tuple[str, ...] | None = None) -> list[list[int]]:
    made = task.numbered({"train": np.asarray(labels)}, names, at, "data")
    assert made.names == ("score",)
    rows: list[list[int]] = made.labels["train"].tolist()
    return rows


FORMS = [
    (Anomaly(), [0, 1, -1], None),
    (Anomaly(), [[0], [1], [-1]], None),
    (Anomaly(), [0.0, 1.0, math.nan], None),
    (Anomaly(), np.array(["0", "1", ""], object), None),
    (Anomaly(normal="free"), np.array(["free ", "crack", ""], object), None),
]


@pytest.mark.parametrize(("task", "labels", "names"), FORMS)
def test_labels_come_in_many_forms(task: Anomaly, labels: Any, names: Any) -> None:
    assert numbered(task, labels, names) == [[0], [1], [-1]]


def test_every_other_class_than_the_normal_one_is_an_anomaly() -> None:
    assert numbered(Anomaly(normal="free"), np.array([0, 2, 1], np.uint8), CLASSES) == [[0], [1], [1]]
    assert numbered(Anomaly(normal="fray"), np.array(["crack", "fray"]), CLASSES) == [[1], [0]]
    with pytest.raises(DataError, match=r"task\.normal: no such class; found 'free'"):
        numbered(Anomaly(normal="free"), [0, 1], ("fine", "crack"))
    with pytest.raises(DataError, match=r"data: one score a sample; found '3 names'; .*normal = "):
        numbered(Anomaly(), [0, 1], CLASSES)


WRONG = [
    ([0, 2], "train: sample 1: a label that neither applies nor does not; found 2"),
    ([[0, 1], [1, 0]], r"train: sample 0: not the labels of anomalies; found 'int64 \(2, 2\)'"),
    (np.array(["good", "bad"]), "train: sample 0: a label that is no number; found 'good'"),
    ([0.0, math.inf], "train: sample 1: a label"),
]


@pytest.mark.parametrize(("labels", "message"), WRONG)
def test_labels_of_another_kind_are_refused_by_sample(labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        numbered(Anomaly(), labels)


def test_training_may_be_all_normal_and_validation_has_enough_of_them() -> None:
    task, zeros = Anomaly(), np.zeros((40, 1), np.int64)
    task.check_learned({"train": zeros, "validation": zeros}, ("score",), "d (train)")
    task.check_learned({"train": zeros - 1}, ("score",), "d (train)")
    with pytest.raises(DataError, match="every training sample is an anomaly"):
        task.check_learned({"train": zeros + 1}, ("score",), "d (train)")
    few = (
        r"d \(validation\): too few normal samples to have at most 0.05 of false alarms; found 0; allowed: at least 19"
    )
    with pytest.raises(DataError, match=few):
        task.check_learned({"train": zeros, "validation": zeros + 1}, ("score",), "d (train)")
    Anomaly(threshold=1.0).check_learned({"train": zeros, "validation": zeros + 1}, ("score",), "d (train)")
    with pytest.raises(DataError, match=r"data\.classes: which samples are normal is not told"):
        task.unlabelled(("score",), "data.classes")
    with pytest.raises(DataError, match="not the labels of anomalies; found '0 to 2'"):
        task.check(zeros + np.array([[2], *[[0]] * 39]), 40, 1, "d")
    with pytest.raises(RecipeError, match="task: one score a sample; found '2 names'"):
        task.check_size(2, "task", RecipeError)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"false_alarms": 0.0}, "false_alarms"),
        ({"false_alarms": 1}, "false_alarms"),
        ({"threshold": 1e300}, "threshold"),
    ],
)
def test_a_rate_is_a_share(keys: dict[str, Any], key: str) -> None:
    with pytest.raises(RecipeError, match=rf"task\.{key}"):
        make_task({"kind": "anomaly", **keys}, "task")


@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=20), st.floats(-20, 20, width=32))
def test_a_threshold_is_one_for_answers_and_apps(numbers: list[float], threshold: float) -> None:
    task = Anomaly().decided_at([threshold])
    scores = np.array([*numbers, threshold], np.float32)[:, None]  # at the threshold it is an anomaly
    said = [task.decode(shares, ("score",)) for shares in task.shares(scores)]
    assert [one.is_anomaly for one in said] == (task.answers(scores)[:, 0] == 1).tolist() and said[-1].is_anomaly
    assert [one.score for one in said] == scores[:, 0].tolist()
    assert not task.chooses and Anomaly().decode(np.array([1.0]), ("score",)) == Answer(1.0, None)
    moved = (scores + 0.49 * task.lead(scores)[:, None]).astype(np.float32)
    same = task.same(scores, moved)
    assert same is not None and same.all()


def test_clear_decisions_that_turn_are_told() -> None:
    task = Anomaly(threshold=1.0)
    wanted = np.array([[0.0], [0.99], [2.0]], np.float32)
    assert task.differs(np.array([[1.5], [1.01], [0.0]], np.float32), wanted, 0.05).tolist() == [True, False, True]
    np.testing.assert_allclose(task.margin(wanted), [0.5, 0.005, 0.5], rtol=1e-4)
    record = task.record(Answer(2.0, True))
    assert task.decision(record) is True and task.in_words(record) == "an anomaly"
    assert task.in_words(task.record(Answer(0.0, False))) == "normal"


@given(st.integers(0, 10_000))
def test_the_metric_is_the_area_of_scikit_learn_whose_ties_count_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (30, 1)).astype(np.float32)
    labels = rng.integers(-1, 2, (30, 1))
    labels[:2] = [[0], [1]]
    known = labels[:, 0] >= 0
    value = Evaluator(Auc(), Heads({"a": 1}, {"a": Anomaly()}))(scores, labels, None, scores)
    pairs = scores[known & (labels[:, 0] == 1)] - scores[known & (labels[:, 0] == 0)].T
    assert value == pytest.approx(roc_auc_score(labels[known, 0], scores[known, 0]))
    assert value == pytest.approx(float(((pairs > 0) + 0.5 * (pairs == 0)).mean()))
    alone = Evaluator(Auc(), Heads({"a": 1}, {"a": Anomaly()}))(scores, np.zeros((30, 1), np.int64), None, scores)
    assert alone == 0.5, "of one kind of label alone nothing can be told"


HEADS = Heads({"a": 1, "b": 3}, {"a": Anomaly()})


def test_a_manifest_gives_the_threshold_and_what_fits_nothing_is_refused() -> None:
    heads = thresholds.decided(HEADS, {"a": {"scores": [0.5]}}, "m")
    assert heads.tasks["a"] == Anomaly(threshold=0.5)
    wrong = [
        ({"a": {"labels": [0.5]}}, r"m\.a\.labels: thresholds of a task that has none"),
        ({"b": {"scores": [0.5] * 3}}, r"m\.b\.scores: thresholds of a task that has none"),
        (
            {"a": {"scores": [0.5, 1.0]}},
            r"m\.a\.scores: one threshold for the one score; found '2 thresholds'; allowed: 1",
        ),
        ({"a": {"scores": [math.nan]}}, "scores"),
        ({"a": {"scores": [1e300]}}, r"a\.scores\[0\]: not allowed; found 1e\+300"),
    ]
    for table, message in wrong:
        with pytest.raises(IntegrityError, match=message):
            thresholds.decided(HEADS, table, "m")
