"""A metric over every head, held against labels or against the teacher."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.metrics._by_head import ByHead
from edgekd.metrics._evaluator import Evaluator, cut
from edgekd.metrics.accuracy import Accuracy
from edgekd.metrics.agreement import Agreement
from edgekd.metrics.auc import Auc
from edgekd.metrics.macro_f1 import MacroF1
from edgekd.metrics.miou import Miou
from edgekd.metrics.recall_at_k import RecallAtK
from edgekd.tasks import Heads
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.segmentation import Segmentation

RAW = np.zeros((2, 1))
SCORES = np.array([[2.0, 1.0, 0.0, 5.0, 0.0], [0.0, 1.0, 2.0, 5.0, 0.0]])
TWO = Heads({"a": 3, "b": 2})


def test_heads_are_averaged_and_told_one_by_one() -> None:
    labels = np.array([[0, 1], [2, 1]])
    evaluator = Evaluator(Accuracy(), TWO)
    assert evaluator.by_head(SCORES, labels, None, RAW) == {"a": 1.0, "b": 0.0}
    assert evaluator(SCORES, labels, None, RAW) == 0.5
    per_sample = evaluator.per_sample(SCORES, labels, None, RAW)
    assert per_sample is not None and per_sample.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_a_sample_that_tells_nothing_of_one_head_counts_in_the_others() -> None:
    """Intervals are of the very value that is told: the mean of the heads' values, each over its own samples."""
    pairs = np.array([[0, 1.0], [0, 1.0], [np.nan, np.nan], [np.nan, np.nan]])
    labels = np.concatenate([pairs, [[0.0], [1.0], [1.0], [1.0]]], axis=1)
    heads = Heads({"vector": 2, "kind": 2}, {"vector": Embedding()})
    scores = np.array([[1, 0, 9, 0], [1, 0, 9, 0], [0, 1, 0, 9], [1, 1, 0, 9]], np.float32)
    evaluator = Evaluator(ByHead({"vector": RecallAtK(k=1), "kind": Accuracy()}), heads)
    held = scores, labels, None, np.arange(4)[:, None]
    of_samples = evaluator.per_sample(*held)
    assert of_samples is not None
    np.testing.assert_array_equal(of_samples, [[1, 1], [1, 0], [np.nan, 1], [np.nan, 1]])
    assert evaluator(*held) == evaluator.resampled(*held)(np.arange(4)) == (1 + 0.75) / 2
    assert evaluator.resampled(*held)(np.array([0, 2])) == 1


def test_without_labels_the_teachers_answers_are_the_labels() -> None:
    assert Evaluator(Accuracy(), TWO)(SCORES, None, SCORES, RAW) == 1.0
    assert Evaluator(Accuracy(), TWO)(SCORES, None, SCORES[::-1], RAW) == 0.5


def test_a_metric_against_the_teacher_asks_no_label() -> None:
    wrong = np.array([1, 1])
    assert Evaluator(Agreement(), Heads({"logits": 5}))(SCORES, wrong, SCORES, RAW) == 1.0


def test_who_decides_labels_is_judged_at_thresholds_of_its_own() -> None:
    """Every score is below 0, and the right ones are the largest; a threshold in the recipe, and metrics that decide
    nothing, leave scores as they are."""
    rare, scores = np.array([[1, 0], [0, 0], [0, 1], [0, 0]]), np.array([[-1.0, -9], [-2, -8], [-3, -4], [-4, -7]])
    evaluator = Evaluator(MacroF1(), Heads({"kind": 2, "tags": 2}, {"tags": MultiLabel()}))
    labels, both = np.concatenate([[[0], [1], [0], [1]], rare], axis=1), np.concatenate([rare, scores], axis=1)
    cuts = evaluator.cuts(both, labels, None)
    assert cuts == [0.0, 0.0, -1.5, -5.5]
    assert evaluator.by_head(both, labels, None, RAW)["tags"] == 0.0
    assert evaluator.by_head(cut(both, cuts), labels, None, RAW)["tags"] == 1.0
    of_teacher = Evaluator(MacroF1(), Heads({"tags": 2}, {"tags": MultiLabel()}))
    assert of_teacher.cuts(scores, None, scores + 2.6) == [-2.5, 0.0], "its answers are those at 0.5"
    assert Evaluator(Auc(), of_teacher.heads).cuts(scores, rare, None) == []
    fixed = Heads({"tags": 2}, {"tags": MultiLabel(threshold=0.5)})
    assert Evaluator(MacroF1(), fixed).cuts(scores, rare, None) == []
    assert of_teacher.cuts(np.full((4, 2), np.nan), rare, None) == []
    assert cut(scores, []) is scores


def test_a_cut_tells_neighbouring_numbers_apart() -> None:
    low = np.float32(3.1)
    high = np.nextafter(low, np.float32(4))
    assert (cut(np.array([[low], [high]]), [(float(low) + float(high)) / 2]) >= 0).tolist() == [[False], [True]]


def test_what_is_no_mean_over_samples_has_no_value_of_one() -> None:
    assert Evaluator(MacroF1(), Heads({"logits": 5})).per_sample(SCORES, np.array([3, 3]), None, RAW) is None


@pytest.mark.parametrize("has_labels", [True, False])
def test_maps_are_counted_once_and_a_resample_has_the_value_that_its_samples_have(has_labels: bool) -> None:
    rng = np.random.default_rng(0)
    heads = Heads({"maps": (3, 4, 5)}, {"maps": Segmentation()})
    scores, teacher = rng.standard_normal((2, 7, 60)).astype(np.float32)
    labels = rng.integers(-1, 3, (7, 20)) if has_labels else None
    evaluator, raw = Evaluator(Miou(), heads), np.zeros((7, 1))
    of = evaluator.resampled(scores, labels, teacher, raw)
    for index in (np.arange(7), np.array([3, 3, 0]), rng.integers(0, 7, 7)):
        some = None if labels is None else labels[index]
        assert of(index) == evaluator(scores[index], some, teacher[index], raw[index])
