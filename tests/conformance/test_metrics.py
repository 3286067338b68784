"""What every metric keeps, found by its file."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_squared_error

import edgekd
from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.metrics import _decided, classifies
from edgekd.metrics._evaluator import Evaluator
from edgekd.metrics._make import metric_of_teacher
from edgekd.tasks import Heads, make_task

OF_SAMPLES = ("span_f1",)  # of whole samples of a dense task: tests/metrics/test_span_f1.py
KINDS = [kind for kind in plugins.kinds("metrics") if kind not in OF_SAMPLES]


def split(seed: int, count: int = 12, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(count * classes).reshape(count, classes).astype(np.float32)
    return scores, rng.integers(0, classes, count), rng.standard_normal((count, 2, 2, 1))


def metric(kind: str, **keys: Any) -> Any:
    return plugins.build("metrics", {"kind": kind, **keys}, "test")


def wanted(kind: str, labels: np.ndarray, classes: int) -> np.ndarray:
    """What a metric is held against: the labels, or the scores of a teacher that gives these answers; or values."""
    if kind in TRIPLETS:
        return np.stack([np.arange(len(labels)) // 4, [2, 3, 4, 4] * (len(labels) // 4)], axis=1)
    if kind in PAIRED:
        return np.stack([np.arange(len(labels)) // 2, np.ones(len(labels))], axis=1)
    if kind in POINTS:  # of an extent that is not 0
        return np.random.default_rng(int(labels.sum())).standard_normal((len(labels), classes)).astype(np.float32)
    rows = metric(kind).against == "teacher" or not classifies(metric(kind))
    return np.eye(classes, dtype=np.float32)[labels] if rows else labels


POINTS = {"normalised_mean_error"}
VALUES = {"cosine", "mae", "mse", "normalised_mean_error", "pearson", "r2", "recall_at_k", "spearman"}
VALUES |= {"triplet_accuracy"}
PAIRED = {"recall_at_k", "triplet_accuracy"}  # they are given vectors, and pairs or triplets of them
TRIPLETS = {"triplet_accuracy"}


def test_whether_it_classifies_has_one_answer() -> None:
    assert {kind: classifies(metric(kind)) for kind in KINDS} == {kind: kind not in VALUES for kind in KINDS}
    own: Any = SimpleNamespace(share=False, against="teacher")
    assert not classifies(own)
    own.share = True
    assert classifies(own)
    own.classifies = False
    assert not classifies(own)
    asked = re.compile(r"""[=!]= ?["']mse["']""")  # by the name of the metric, in place of the metric
    package = Path(edgekd.__file__).parent
    for path in [*package.rglob("*.py"), *package.rglob("*.j2")]:
        if path.parent.name != "compress":  # whose mse is a way to choose a range
            assert not asked.search(path.read_text()), path


AVERAGES = [kind for kind in KINDS if hasattr(plugins.load("metrics", kind, "test"), "per_sample")]


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_frozen_dataclass_that_says_its_unit(kind: str) -> None:
    cls = plugins.load("metrics", kind, "test")
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    share, against = getattr(cls, "share", None), getattr(cls, "against", None)
    assert isinstance(share, bool) and against in ("labels", "teacher") and cls.__doc__


LIMITS = {"mse": (-math.inf, 0), "mae": (-math.inf, 0), "normalised_mean_error": (-math.inf, 0), "r2": (-math.inf, 1)}
LIMITS |= dict.fromkeys(("cosine", "pearson", "spearman"), (-1, 1))


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 12))
@settings(max_examples=25, deadline=None)
def test_lies_between_0_and_1_or_below_in_any_order(kind: str, seed: int, classes: int) -> None:
    classes += classes % 2 if kind in POINTS else 0
    scores, labels, raw = split(seed, classes=classes)
    target = wanted(kind, labels, classes)
    value = metric(kind)(scores, target, raw)
    low, high = LIMITS.get(kind, (0, 1))
    assert isinstance(value, float) and low <= value <= high
    order = np.random.default_rng(seed).permutation(len(labels))
    assert value == pytest.approx(metric(kind)(scores[order], target[order], raw[order]))


@pytest.mark.parametrize("kind", AVERAGES)
def test_is_the_mean_of_what_it_says_of_each_sample(kind: str) -> None:
    scores, labels, raw = split(5, count=20)
    target = wanted(kind, labels, 4)
    each = metric(kind).per_sample(scores, target, raw)
    assert each.shape == (20,) and each.dtype == np.float64
    assert metric(kind)(scores, target, raw) == pytest.approx(np.nanmean(each))
    if kind in PAIRED:
        return
    alone = [metric(kind)(scores[i : i + 1], target[i : i + 1], raw[i : i + 1]) for i in range(20)]
    assert alone == pytest.approx(each.tolist())


def test_only_those_over_pairs_or_classes_are_no_means() -> None:
    over_all = {"auc", "average_precision", "macro_f1", "micro_f1", "miou", "pearson", "r2", "spearman"}
    assert set(KINDS) - set(AVERAGES) == over_all


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_always_right_has_the_most(kind: str) -> None:
    scores, labels, raw = split(1, count=40, classes=20)
    target = wanted(kind, labels, 20)
    right = target if kind in POINTS else np.eye(20, dtype=np.float32)[np.arange(40) // 2 if kind in PAIRED else labels]
    most = LIMITS.get(kind, (0, 1))[1]
    assert metric(kind)(right, target, raw) == pytest.approx(most)
    assert metric(kind)(scores, target, raw) < most


def test_mse_is_scikit_learns() -> None:
    scores, _, raw = split(2)
    teacher = np.random.default_rng(3).standard_normal(scores.shape)
    assert metric("mse")(scores, teacher, raw) == pytest.approx(-mean_squared_error(teacher, scores))


@pytest.mark.parametrize("labelled", [True, False])
def test_what_a_metric_is_held_against(labelled: bool) -> None:
    scores, labels, raw = split(6, count=40)
    teacher = np.random.default_rng(1).standard_normal(scores.shape)

    def asked(kind: str) -> float:
        return Evaluator(metric(kind), Heads({"logits": 4}))(scores, labels if labelled else None, teacher, raw)

    assert asked("agreement") == np.mean(scores.argmax(1) == teacher.argmax(1))
    assert asked("mse") == pytest.approx(-np.mean((scores - teacher) ** 2))
    assert asked("accuracy") == np.mean(scores.argmax(1) == (labels if labelled else teacher.argmax(1)))
    assert type(metric_of_teacher(metric("mse"))).__name__ == "Accuracy" and metric_of_teacher(m := metric("ndcg")) is m


def test_macro_f1_counts_a_rare_class_as_much() -> None:
    labels = np.array([0] * 9 + [1])
    always = np.tile(np.array([1.0, 0.0], np.float32), (10, 1))
    assert metric("accuracy")(always, labels, always) == pytest.approx(0.9)
    assert metric("macro_f1")(always, labels, always) == pytest.approx((2 * 9 / 19 + 0) / 2)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    scores, labels, raw = split(3, count=9, classes=2)
    s = scores[:, 1] - scores[:, 0]
    pairs = [(a > b) + 0.5 * (a == b) for a in s[labels == 1] for b in s[labels == 0]]
    assert metric("auc")(scores, labels, raw) == pytest.approx(float(np.mean(pairs)))
    assert metric("auc")(scores, np.ones(9, int), raw) == 0.5


def test_ranking_looks_at_what_a_user_does_not_know() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]], np.float32)
    labels = np.array([2, 0])
    asked = np.array([[7, 0, 4, 4], [8, 4, 4, 4]])  # user, then what it knows; 4 is padding
    # The first user knows item 0, so item 2 is second; for the second user item 0 is last of four.
    assert metric("ndcg", k=2, leave_seen=True)(scores, labels, asked) == pytest.approx((1 / np.log2(3)) / 2)
    assert metric("ndcg", k=4, leave_seen=True)(scores, labels, asked) == pytest.approx(
        (1 / np.log2(3) + 1 / np.log2(5)) / 2
    )
    assert metric("hit_rate", k=2, leave_seen=True)(scores, labels, asked) == 0.5
    assert metric("hit_rate", k=4, leave_seen=True)(scores, labels, asked) == 1.0
    knows_its_label = np.array([[7, 2, 0, 4], [8, 4, 4, 4]])
    assert metric("hit_rate", k=2, leave_seen=True)(scores, labels, knows_its_label) == 0.5


PARTLY = [
    (kind, of)
    for of in ("multi_label", "regression", "anomaly")
    for kind in make_task({"kind": of}, "task").metrics
    if metric(kind).against == "labels"
]


@pytest.mark.parametrize(("kind", "of"), PARTLY)
def test_what_nobody_knows_counts_for_nothing(kind: str, of: str) -> None:
    """Of 40 samples 16 have no label; of a resample that holds these alone a value is a number, too."""
    rng, width = np.random.default_rng(4), 1 if of == "anomaly" else 4
    scores = rng.standard_normal((40, width)).astype(np.float32)
    labels = rng.standard_normal((40, width)) if of == "regression" else rng.integers(0, 2, (40, width))
    labels[24:] = math.nan if of == "regression" else -1
    whole = metric(kind)(scores, labels, scores)
    assert whole == pytest.approx(metric(kind)(scores[:24], labels[:24], scores[:24]))
    assert math.isfinite(metric(kind)(scores[24:], labels[24:], scores[24:]))
    if of != "regression":
        nothing = np.zeros((16, width), np.int64)
        assert math.isfinite(metric(kind)(np.full((16, width), -1.0), nothing, nothing)), "no label applies"


def test_ties_do_not_help() -> None:
    nothing = np.zeros((3, 5), np.float32)
    assert metric("hit_rate", k=4)(nothing, np.array([0, 1, 2]), np.zeros((3, 2))) == 0.0


def test_recall_looks_for_the_partner_among_other_samples_once() -> None:
    texts = np.array(["a", "b", "a", "c", "d", "e"], dtype=object)
    pairs = np.array([[0, 1.0], [0, 1.0], [1, 0.2], [1, 0.2], [2, 1.0], [2, 1.0]])
    angles = np.array([0.0, 0.3, 0.0, 0.1, 2.0, 2.1])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # c is nearer to a, and to b, than these are to each other; d and e find each other at once.
    assert metric("recall_at_k", k=1)(vectors, pairs, texts) == 0.5
    assert metric("recall_at_k", k=2)(vectors, pairs, texts) == 1.0
    assert metric("recall_at_k", k=1, positive=0.1)(vectors, pairs, texts) == pytest.approx(4 / 6)
    assert metric("recall_at_k")(vectors, pairs[2:4], texts[2:4]) == 0.0, "no pair belongs together"
    assert metric("recall_at_k", k=1)(np.ones((6, 2)), pairs, texts) == 0.0, "ties do not help"
    for keys in ({"k": 0}, {"positive": 1.5}):
        with pytest.raises(RecipeError, match=f"metric|{next(iter(keys))}"):
            metric("recall_at_k", **keys)


def test_triplet_accuracy_is_the_share_of_triplets_in_order() -> None:
    angles = np.array([0.3, 0.0, 0.2, 0.7, 0.5, 2.0, 2.1])  # positive, anchor, two negatives; an anchor that is alone
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([[1], [2], [3], [4], [5], [6], [7]])
    labels = np.array([[7, 3], [7, 2], [7, 4], [7, 4], [math.nan, math.nan], [8, 2], [8, 3]])
    accuracy = metric("triplet_accuracy")
    assert accuracy(vectors, labels, vectors) == 0.5
    np.testing.assert_array_equal(accuracy.per_sample(vectors, labels, vectors)[2:4], [0, 1])
    twice = np.concatenate([np.arange(7), np.arange(4)])
    assert accuracy(vectors[twice], labels[twice], vectors[twice]) == 0.5
    assert accuracy(np.ones((7, 2)), labels, vectors) == 0.0, "ties do not help"
    assert accuracy(vectors, labels[:, [0, 0]] * 0 + 1, vectors) == 0.0, "no triplet"
    known = Evaluator(accuracy, Heads({"v": 2}, {"v": make_task({"kind": "embedding"}, "task")}))
    assert known(vectors, labels, None, vectors) == 0.5


def test_miou_counts_places_of_all_samples_together() -> None:
    scores = np.zeros((2, 4, 3), np.float32)  # two samples of four places
    answers = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
    scores[np.arange(2)[:, None], np.arange(4), answers] = 1
    labels = np.array([[0, 1, 1, -1], [1, 1, 0, -100]])
    # Of class 0: 2 right, 1 too many. Of class 1: 3 right, 1 missed. Of class 2 nothing: it is left out.
    assert metric("miou")(scores, labels, scores) == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert metric("miou")(scores.reshape(8, 3), labels.reshape(8), scores) == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert metric("miou")(scores, np.full((2, 4), -1), scores) == 0.0


@given(seed=st.integers(0, 1000), places=st.integers(1, 40), size=st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_counts_are_the_same_however_many_samples_are_looked_at_together(seed: int, places: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.standard_normal((7, places, 4)), rng.integers(-1, 4, (7, places))
    whole, known = _decided.confusion(scores, labels), labels >= 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_decided, "PLACES", size)
        assert np.array_equal(_decided.confusion(scores, labels), whole)
        hits, wrong = _decided.counted(scores[known], labels[known])
    assert np.array_equal(hits, np.diag(whole)) and np.array_equal(wrong, whole.sum(0) + whole.sum(1) - 2 * hits)
    assert whole.sum() == known.sum() and np.trace(whole) == (scores.argmax(-1) == labels)[known].sum()


def test_points_are_measured_by_the_eyes_or_by_their_box() -> None:
    right = np.array([[[0, 0], [4, 0], [0, 3]]], np.float32)
    scores = right + np.array([[3, 4]], np.float32)  # each off by 5
    by_eyes = metric("normalised_mean_error", left=[0], right=[1])
    assert by_eyes(scores.reshape(1, 6), right.reshape(1, 6), right) == pytest.approx(-5 / 4)
    assert metric("normalised_mean_error")(scores, right, right) == pytest.approx(-5 / np.sqrt(12))
    unknown = right.copy()
    unknown[0, 2] = np.nan
    assert by_eyes(scores, unknown, right) == pytest.approx(-5 / 4), "what nobody knows counts for nothing"
    unknown[0, 0] = np.nan
    assert by_eyes(scores, unknown, right) == 0.0
    with pytest.raises(RecipeError, match=r"no such point; found 3; allowed: 0 to 2"):
        metric("normalised_mean_error", left=[0], right=[3])(scores, right, right)
    with pytest.raises(RecipeError, match=r"metric.*points have two numbers"):
        metric("normalised_mean_error")(np.zeros((2, 3)), np.zeros((2, 3)), right)
    with pytest.raises(RecipeError, match=r"right: allowed are points where left has some"):
        metric("normalised_mean_error", left=[0])
