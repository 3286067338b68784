"""A metric over every head, held against labels or against the teacher."""

from __future__ import annotations

import numpy as np

from edgekd.metrics._by_head import ByHead
from edgekd.metrics._evaluator import Evaluator
from edgekd.metrics.accuracy import Accuracy
from edgekd.metrics.agreement import Agreement
from edgekd.metrics.macro_f1 import MacroF1
from edgekd.metrics.recall_at_k import RecallAtK
from edgekd.tasks import Heads
from edgekd.tasks.embedding import Embedding

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


def test_what_is_no_mean_over_samples_has_no_value_of_one() -> None:
    assert Evaluator(MacroF1(), Heads({"logits": 5})).per_sample(SCORES, np.array([3, 3]), None, RAW) is None
