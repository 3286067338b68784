"""Maps of anomalies: masks in every form, decisions by pixel and by picture, what is held, and what tells nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from edgekd.base import false_alarms
from edgekd.base.errors import DataError, IntegrityError, RecipeError
from edgekd.base.marks import NOWHERE
from edgekd.learn.objective import Objective, make_terms
from edgekd.metrics import Evaluator
from edgekd.metrics.auc import Auc
from edgekd.runtime import golden, parity, thresholds
from edgekd.tasks import IGNORED, Heads, make_task
from edgekd.tasks import AnomalyMap as Answer
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap

SHAPE = (1, 4, 5)
HEADS = Heads({"map": SHAPE}, {"map": AnomalyMap(threshold=1.0)})
BOTH = Heads({"score": 1, "map": SHAPE}, {"score": Anomaly(), "map": AnomalyMap()})
SCORES = (2 * np.random.default_rng(0).standard_normal((6, *SHAPE))).astype(np.float32)


def at(split: str, i: int) -> str:
    return f"{split}: sample {i}"


def flat(scores: np.ndarray) -> np.ndarray:
    return scores.reshape(len(scores), -1)


def masks(seed: int = 0, count: int = 6) -> np.ndarray:
    """(N, P) of -1, 0 and 1, both of these somewhere."""
    labels = np.random.default_rng(seed).integers(-1, 2, (count, 20))
    labels[0, :2] = 0, 1
    return labels


FORMS = [
    (AnomalyMap(), np.array([[[0, 1, -1]]])),
    (AnomalyMap(anomalous=255, ignore=128), np.array([[[0, 255, 128]]], np.uint8)),
    (AnomalyMap(ignore=2), np.array([[[0, 1, 2]]], np.uint16)),
]


@pytest.mark.parametrize(("task", "labels"), FORMS)
def test_masks_come_in_many_numbers(task: AnomalyMap, labels: np.ndarray) -> None:
    numbering = task.numbered({"train": labels}, None, at, "data")
    assert numbering.names == ("score",) and numbering.labels["train"].tolist() == [[[0, 1, -1]]]


def test_masks_are_truth_values_too_and_the_score_may_have_a_name() -> None:
    numbering = AnomalyMap().numbered({"train": np.array([[[False, True]]])}, ("far",), at, "data")
    assert numbering.names == ("far",) and numbering.labels["train"].tolist() == [[[0, 1]]]


WRONG: list[tuple[AnomalyMap, Any, str]] = [
    (AnomalyMap(), [[[0, 2]]], r"train: sample 0: a label that is no class; found '2 at x 1, y 0'; allowed: 0 "),
    (AnomalyMap(anomalous=255), [[[0, 255]], [[1, 0]]], "train: sample 1: .*'1 at x 0, y 0'; .*task.anomalous, 255,"),
    (AnomalyMap(ignore=9), [[[0, -1]]], r"found '-1 at x 1, y 0'; .*task\.ignore, 9, where nobody knows"),
    (AnomalyMap(), [[0, 1]], r"train: sample 0: labels are masks; found 'int64 \(1, 2\)'"),
    (AnomalyMap(), [[[0.0, 1.0]]], r"labels are masks; found 'float64 \(1, 1, 2\)'"),
]


@pytest.mark.parametrize(("task", "labels", "message"), WRONG)
def test_other_labels_are_refused_by_their_pixel(task: AnomalyMap, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        task.numbered({"train": np.array(labels)}, None, at, "data")


def test_masks_of_another_size_and_several_scores_are_refused() -> None:
    labels = {"train": np.zeros((2, 4, 5), np.int64), "test": np.zeros((2, 5, 4), np.int64)}
    with pytest.raises(DataError, match=r"test: sample 0: masks of another size than in train; found \(5, 4\)"):
        AnomalyMap().numbered(labels, None, at, "data")
    with pytest.raises(DataError, match="data: one score a pixel; found '2 names'"):
        AnomalyMap().numbered({"train": labels["train"]}, ("a", "b"), at, "data")
    with pytest.raises(RecipeError, match="maps are as large as their masks, and there are none"):
        AnomalyMap().shape(1, ())
    with pytest.raises(DataError, match=r"data\.classes: which pixels are normal is not told"):
        AnomalyMap().unlabelled(("score",), "data.classes")
    with pytest.raises(DataError, match=r"d: labels of each pixel are needed; found \(2,\)"):
        AnomalyMap().check(np.zeros(2, np.int64), 2, 1, "d")
    with pytest.raises(DataError, match="d: not the labels of anomalies; found '0 to 2'"):
        AnomalyMap().check(np.array([[0, 2]]), 1, 1, "d")


def test_training_may_be_all_normal_and_the_other_splits_say_something() -> None:
    task, zeros = AnomalyMap(), np.zeros((20, 20), np.int64)
    task.check_learned({"train": zeros, "validation": zeros, "test": zeros}, ("score",), "d (train)")
    task.check_learned({"train": zeros - 1, "validation": zeros}, ("score",), "d (train)")
    with pytest.raises(DataError, match="every training pixel is an anomaly"):
        task.check_learned({"train": zeros + 1}, ("score",), "d (train)")
    for split in ("validation", "test"):
        with pytest.raises(DataError, match=rf"d \({split}\): no pixel with a label"):
            AnomalyMap(threshold=1.0).check_learned({"train": zeros, split: zeros - 1}, ("score",), "d (train)")
    spotted = zeros.copy()
    spotted[:2, 0] = 1
    with pytest.raises(DataError, match=r"d \(validation\): too few normal samples .*found 18; allowed: at least 19"):
        task.check_learned({"train": zeros, "validation": spotted}, ("score",), "d (train)")
    AnomalyMap(alarms="pixels").check_learned({"train": zeros, "validation": spotted}, ("score",), "d (train)")


KEYS: list[tuple[str, object]] = [("false_alarms", 0.0), ("threshold", 1e300), ("anomalous", 0), ("alarms", "masks")]
KEYS += [("ignore", 0), ("ignore", 1)]


@pytest.mark.parametrize(("key", "value"), KEYS)
def test_keys_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(RecipeError, match=rf"task\.{key}"):
        make_task({"kind": "anomaly_map", key: value}, "task")


@given(seed=st.integers(0, 1000), rate=st.floats(0.05, 0.6))
@settings(max_examples=25, deadline=None)
def test_the_threshold_holds_false_alarms_of_pictures_or_of_pixels(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((60, *SHAPE)).astype(np.float32)
    labels = np.where(rng.random((60, 20)) < 0.1, -1, 0)
    labels[:20, 0] = 1
    by_picture, by_pixel = AnomalyMap(rate), AnomalyMap(rate, alarms="pixels")
    cut = false_alarms.threshold(by_picture.normal_scores(scores, labels), rate, "v")
    hits = flat(scores) >= np.float32(cut)
    assert (hits & (labels == 0))[20:].any(axis=1).mean() <= rate
    assert len(by_picture.normal_scores(scores, labels)) == 40
    cut = false_alarms.threshold(by_pixel.normal_scores(scores, labels), rate, "v")
    assert (flat(scores) >= np.float32(cut))[labels == 0].mean() <= rate


@given(seed=st.integers(0, 10_000))
def test_a_threshold_is_one_for_answers_and_apps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((3, *SHAPE)).astype(np.float32)
    task = AnomalyMap().decided_at([float(scores[0, 0, 0, 0])])  # at the threshold it is an anomaly
    said = [task.decode(shares, ("score",)) for shares in task.shares(scores)]
    assert [one.anomalous.reshape(-1).tolist() for one in said] == (task.answers(scores) == 1).tolist()  # type: ignore[union-attr]
    assert said[0].is_anomaly and said[0].anomalous is not None and bool(said[0].anomalous[0, 0])
    assert [one.is_anomaly for one in said] == task.picks(task.answers(scores), 1)[:, 0].tolist()
    assert [one.score for one in said] == flat(scores).max(axis=1).tolist()
    assert [one.area for one in said] == task.answers(scores).mean(axis=1).tolist()
    steps = rng.uniform(-0.49, 0.49, scores.shape) * task.lead(scores).reshape(-1, 1, 1, 1)
    moved = (scores + steps).astype(np.float32)
    same, shares = task.same(scores, moved), task.agreement(scores, -scores)
    assert same is not None and same.all() and shares is not None
    assert shares.tolist() == (task.answers(scores) == task.answers(-scores)).mean(axis=1).tolist()
    plain = AnomalyMap()
    assert plain.chooses and plain.same(scores, moved) is None and plain.agreement(scores, moved) is None
    untold = plain.decode(plain.shares(scores)[0], ("score",))
    assert untold == Answer(scores[0, 0], None) != said[0]
    assert (untold.anomalous, untold.is_anomaly, untold.area, plain.marks(untold)) == (None, None, None, None)


def test_clear_pixels_that_turn_are_told_and_golden_maps_may_change_where_they_were_in_doubt() -> None:
    wanted = np.zeros((1, *SHAPE), np.float32)
    wanted[0, 0, 0] = 2.0, 2.0, 1.01, 0.99, 0.0
    got = wanted.copy()
    got[0, 0, 0, 2:4] = 0.99, 1.01
    assert HEADS.differing(flat(got), flat(wanted), 0.05).tolist() == [0]
    assert parity.compare(flat(got), flat(wanted), heads=HEADS).argmax_agreement == pytest.approx(18 / 20)
    assert golden.difference(flat(got), flat(wanted), 0.05, "g", head="map", heads=HEADS) == pytest.approx(0.02)
    got[0, 0, 0, 0] = 0.5
    assert HEADS.differing(flat(got), flat(wanted), 0.05).tolist() == [1 / 20]
    assert HEADS.differs(flat(got), flat(wanted), 0.05).tolist() == [True]
    with pytest.raises(IntegrityError, match="other answers than when it was built"):
        golden.difference(flat(got), flat(wanted), 0.05, "g", head="map", heads=HEADS)


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_map_that_is_written_down_holds_its_ends_and_its_clear_pixels(seed: int) -> None:
    scores = np.random.default_rng(seed).standard_normal((6, 14)).astype(np.float32)
    task = AnomalyMap(threshold=0.25)
    decided = task.decode(scores[None].astype(np.float64), ("score",))
    record = json.loads(json.dumps(task.record(decided)))
    unfolded = np.concatenate([np.full(count, number) for number, count in record["runs"]]).reshape(6, 14)
    near = np.abs(scores - 0.25) < 0.1 * np.ptp(scores)
    assert np.array_equal(unfolded, np.where(near, -1, scores >= 0.25)) and not near.all()
    assert record["ends"] == pytest.approx([scores.min(), scores.max()], rel=1e-5)
    other = scores + np.where(near, 0.1 * np.ptp(scores), 0).astype(np.float32) * np.where(scores < 0.25, 1, -1)
    assert all(off.distance <= 1 for off in task.off(Answer(other.astype(np.float32), 0.25), record, 1.0))
    turned = Answer((0.5 - scores).astype(np.float32), 0.25)
    assert [off.distance > 1 for off in task.off(turned, record, 100.0)] == [False, False, True]
    smaller = Answer(scores[:3], 0.25)
    assert [off.distance for off in task.off(smaller, record, 100.0)][-1] == np.inf


def test_marks_are_of_the_label_and_of_what_is_above_the_threshold() -> None:
    task = AnomalyMap(threshold=0.5)
    shares = task.shares_of_label(np.array([0, 1, -1, 1]), (1, 2, 2))
    assert shares is not None
    marks = task.marks(task.decode(shares, ("score",)))
    assert marks is not None and marks.names == ("anomaly",)
    assert marks.areas is not None and marks.areas.tolist() == [[NOWHERE, 0], [NOWHERE, 0]]


@given(seed=st.integers(0, 10_000))
def test_the_metric_is_over_the_known_pixels_of_all_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 6, (6, 20)).astype(np.float32), masks(seed)
    known = labels >= 0
    wanted = roc_auc_score(labels[known], scores[known])
    assert Evaluator(Auc(), HEADS)(scores, labels, None, scores) == pytest.approx(wanted)
    whole = np.concatenate([rng.standard_normal((6, 1)).astype(np.float32), scores], axis=1)
    both = np.concatenate([np.array([[0], [1], [0], [1], [-1], [0]]), labels], axis=1)
    by_head = Evaluator(Auc(), BOTH).by_head(whole, both, None, whole)
    assert by_head["map"] == pytest.approx(wanted) and set(by_head) == {"score", "map"}


def test_losses_see_a_row_for_each_pixel_that_they_can_learn_from() -> None:
    student, teacher = torch.tensor(flat(SCORES)), torch.tensor(-flat(SCORES))
    labels = torch.tensor(masks())
    tables: list[dict[str, Any]] = [{"kind": kind} for kind in AnomalyMap.losses]
    terms = make_terms(tables, heads=HEADS)
    _, parts = Objective(terms, torch.nn.Linear(1, 1))(student, teacher, labels, 0.0)
    rows, bits = student.reshape(-1, 1), labels.reshape(-1, 1)
    known = bits[:, 0] >= 0
    for term in terms:
        if term.name == "channel_wise":
            wanted = term.loss(student[:, None], teacher[:, None], None)
        elif term.name == "squared_error":
            wanted = term.loss(rows, teacher.reshape(-1, 1), None)
        elif term.name == "deep_sad":
            wanted = term.loss(rows, None, bits)
        else:
            wanted = term.loss(rows[known], None, bits[known])
        torch.testing.assert_close(parts[term.name], wanted)
    nothing = torch.full_like(labels, -1)
    _, parts = Objective(terms, torch.nn.Linear(1, 1))(student, teacher, nothing, 0.0)
    assert float(parts["binary_cross_entropy"]) == 0 < float(parts["squared_error"]), "a teacher is imitated everywhere"
    deep_sad = next(term.loss for term in terms if term.name == "deep_sad")
    torch.testing.assert_close(parts["deep_sad"], deep_sad(rows, None, torch.zeros_like(bits)))
    outside = torch.full_like(labels, IGNORED)
    _, parts = Objective(terms, torch.nn.Linear(1, 1))(student, teacher, outside, 0.0)
    assert float(parts["deep_sad"]) == 0, "what was in no picture is not normal"


def test_a_manifest_gives_the_threshold() -> None:
    heads = thresholds.decided(BOTH, {"score": {"scores": [0.5]}, "map": {"scores": [1.5]}}, "m")
    assert heads.tasks["map"] == AnomalyMap(threshold=1.5) and heads.tasks["score"] == Anomaly(threshold=0.5)
    with pytest.raises(IntegrityError, match=r"m\.map\.scores: one threshold for the one score"):
        thresholds.decided(BOTH, {"map": {"scores": [0.5, 1.0]}}, "m")
