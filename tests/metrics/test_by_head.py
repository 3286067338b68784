"""Heads of different tasks: each by its own metric, the value their mean."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.base.errors import RecipeError
from edgekd.metrics import ByHead, Evaluator, metric_of_teacher, needs_teacher, of_head
from edgekd.metrics.accuracy import Accuracy
from edgekd.metrics.agreement import Agreement
from edgekd.metrics.cosine import Cosine
from edgekd.metrics.mae import Mae
from edgekd.metrics.r2 import R2
from edgekd.metrics.span_f1 import SpanF1
from edgekd.tasks import IGNORED, Heads
from edgekd.tasks.classification import Classification
from edgekd.tasks.distribution import Distribution
from edgekd.tasks.tagging import Tagging

HEADS = Heads({"slots": (3, 3), "intent": 2}, {"slots": Tagging(), "intent": Classification()})


def test_a_value_is_the_mean_of_what_each_head_is_measured_by() -> None:
    """Two texts of two words; B-x and I-x are right in the first, one span of two; three of four intents are wrong."""
    tags = np.array([[1, 2, IGNORED], [1, 0, IGNORED]])
    labels = np.concatenate([tags, [[0], [1]]], axis=1)
    answered = np.array([[1, 2], [0, 1]])
    tokens = np.zeros((2, 3, 3), np.float32)
    tokens[:, :2] = 5 * np.eye(3, dtype=np.float32)[answered]
    scores = np.concatenate([tokens.reshape(2, 9), [[1, 0], [1, 0]]], axis=1).astype(np.float32)
    evaluator = Evaluator(ByHead({"slots": SpanF1(), "intent": Accuracy()}), HEADS)
    values = evaluator.by_head(scores, labels, None, np.zeros(2))
    assert values == {"slots": pytest.approx(0.5), "intent": 0.5}
    assert evaluator(scores, labels, None, np.zeros(2)) == pytest.approx(0.5)
    assert not evaluator.is_mean and evaluator.per_sample(scores, labels, None, np.zeros(2)) is None
    assert evaluator(scores, HEADS.answers(scores), None, np.zeros(2)) == 1.0


def test_heads_of_one_number_a_sample_have_a_value_of_each_sample() -> None:
    heads = Heads({"a": 2, "b": 2})
    evaluator = Evaluator(ByHead({"a": Accuracy(), "b": Accuracy()}), heads)
    scores = np.array([[1, 0, 0, 1], [0, 1, 0, 1]], np.float32)
    labels = np.array([[0, 1], [0, 0]])
    values = evaluator.per_sample(scores, labels, None, np.zeros(2))
    assert evaluator.is_mean and values is not None and values.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_metrics_that_have_no_mean_are_refused() -> None:
    """A mean of an accuracy and of an error in metres says nothing; of two errors, that they are of one unit."""
    with pytest.raises(RecipeError, match=r"heads: metrics that have no mean; found \{'b': 'Mae'\}; allowed: .* 1 is"):
        ByHead({"a": Accuracy(), "b": Mae()})
    assert not ByHead({"a": Mae(), "b": Mae()}).share
    mixed = ByHead({"a": Accuracy(), "b": R2()})
    assert not mixed.share and mixed.against == "labels" and not needs_teacher(mixed)


def test_one_head_may_be_held_against_the_labels_and_another_against_the_teacher() -> None:
    heads = Heads(
        {"class": 2, "vector": 2}, {"vector": Distribution(size=2)}, labelled={"class": "whole", "vector": "none"}
    )
    metric = ByHead({"class": Accuracy(), "vector": Cosine()})
    assert needs_teacher(metric) and metric.against == "labels"
    scores, teacher = (
        np.array([[1, 0, 3, 4], [1, 0, 0, 1]], np.float32),
        np.array([[0, 1, 6, 8], [0, 1, 0, -2]], np.float32),
    )
    values = Evaluator(metric, heads).by_head(scores, np.array([[0], [1]]), teacher, np.zeros(2))
    assert values == {"class": 0.5, "vector": pytest.approx(0.0)}
    of_teacher = metric_of_teacher(metric, {"class": Classification()})
    assert isinstance(of_head(of_teacher, "class"), Accuracy)
    with pytest.raises(ValueError, match="neither labels nor a teacher's answers"):
        Evaluator(metric, heads)(scores, np.array([[0], [1]]), None, np.zeros(2))


def test_a_teacher_is_measured_by_the_labels_of_each_head() -> None:
    metric = metric_of_teacher(ByHead({"slots": Agreement(), "intent": Agreement()}), HEADS.tasks)
    assert isinstance(of_head(metric, "slots"), SpanF1) and isinstance(of_head(metric, "intent"), Accuracy)
    known = ByHead({"slots": SpanF1(), "intent": Accuracy()})
    assert metric_of_teacher(known, HEADS.tasks) is known
