"""Areas under curves, exact: held against scikit-learn's, ties and all, and in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from edgekd.base.scores import softmax
from edgekd.metrics import Evaluator
from edgekd.metrics._base import Metric
from edgekd.metrics._hits import EDGES, area_of_resamples, area_under_precision, area_under_roc
from edgekd.metrics.auc import Auc
from edgekd.metrics.average_precision import AveragePrecision
from edgekd.tasks import Heads
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap

Area = Callable[[np.ndarray, np.ndarray], float | None]
AREAS: dict[Area, Callable[[np.ndarray, np.ndarray], float]] = {
    area_under_roc: roc_auc_score,
    area_under_precision: average_precision_score,
}


@pytest.mark.parametrize("area", AREAS)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 60), values=st.integers(1, 40))
def test_it_is_that_of_scikit_learn(area: Area, seed: int, count: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, count) / 7 - 2  # of few values many are equal
    labels = rng.integers(0, 2, count).astype(np.float64)
    labels[:2] = 0, 1
    assert area(scores, labels) == pytest.approx(AREAS[area](labels, scores), abs=1e-12)


def test_of_one_kind_alone_nothing_is_told() -> None:
    scores = np.array([1.0, 2.0])
    assert area_under_roc(scores, np.zeros(2)) is None and area_under_roc(scores, np.ones(2)) is None
    assert area_under_precision(scores, np.zeros(2)) is None and area_under_precision(scores, np.ones(2)) == 1


@pytest.mark.parametrize("area", AREAS)
def test_of_the_pixels_of_a_split_it_takes_a_copy_or_two(area: Area) -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal(400_000), (rng.random(400_000) < 0.02).astype(np.float64)
    tracemalloc.start()
    try:
        area(scores, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * scores.nbytes


@given(seed=st.integers(0, 10_000), share=st.floats(0.005, 0.9), values=st.sampled_from([3, 50, 100_000]))
@settings(max_examples=25, deadline=None)
def test_areas_of_resamples_are_as_near_as_is_said(seed: int, share: float, values: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((20, 300)) < 0.1, -1, rng.random((20, 300)) < share).astype(np.int64)
    labels[0, :2] = 0, 1
    scores = (rng.integers(0, values, labels.shape) / values + 0.4 * labels).astype(np.float32)
    area = area_of_resamples(scores, labels, 0.5)
    known = labels >= 0
    whole = np.arange(20)
    for index in (whole, rng.integers(0, 20, 20)):
        drawn, of = scores[index][known[index]], labels[index][known[index]]
        exact = area_under_roc(drawn.astype(np.float64), of.astype(np.float64))
        most = 1 / (2 * EDGES) / (of == 0).mean() if len(of) else 0
        # A resample may draw the samples again whose places stand between the same two edges.
        assert area(index) == pytest.approx(0.5 if exact is None else exact, abs=most * (1 if index is whole else 6))
    for told in (0, -1):
        assert area_of_resamples(scores, np.full_like(labels, told), 0.5)(whole) == 0.5, "of one kind, or of none"


def test_the_evaluator_scores_resamples_of_pixels_by_counts_and_all_else_anew() -> None:
    rng = np.random.default_rng(1)
    heads = Heads({"score": 1, "map": (1, 4, 5)}, {"score": Anomaly(), "map": AnomalyMap()})
    scores, labels = rng.standard_normal((30, 21)).astype(np.float32), rng.integers(-1, 2, (30, 21))
    evaluator = Evaluator(Auc(), heads)
    of = evaluator.resampled(scores, labels, None, scores)
    for index in (np.arange(30), rng.integers(0, 30, 30)):
        assert of(index) == pytest.approx(evaluator(scores[index], labels[index], None, scores), abs=2 / EDGES)
    assert set(evaluator._resampling(scores, labels, None)) == {"map"}


@pytest.mark.parametrize("metric", [Auc(), AveragePrecision()])
@pytest.mark.parametrize("classes", [2, 5])
def test_what_is_added_to_all_scores_of_a_sample_says_nothing(metric: Metric, classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 300)
    scores = (rng.normal(size=(300, classes)) + 2 * np.eye(classes)[labels]).astype(np.float32)
    moved = (scores + 16 * rng.normal(size=(300, 1))).astype(np.float32)
    assert metric(moved, labels, scores) == pytest.approx(metric(scores, labels, scores), abs=1e-3)
    logs = np.log(softmax(scores)).astype(np.float32)  # as a teacher of shares says the same
    assert metric(logs, labels, scores) == pytest.approx(metric(scores, labels, scores), abs=1e-6)
