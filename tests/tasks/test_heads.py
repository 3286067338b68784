"""Scores of several questions side by side: each head has its own columns."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd import tasks
from edgekd.tasks import Heads
from edgekd.tasks.distribution import Distribution
from edgekd.tasks.embedding import Embedding

TWO = Heads({"garment": 3, "kind": 2})
SCORES = np.array([[1.0, 5.0, 2.0, 0.0, 9.0], [7.0, 0.0, 0.0, 3.0, 1.0]])


def test_every_column_belongs_to_one_head_in_order() -> None:
    parts = TWO.split(SCORES)
    assert {name: part.shape for name, part in parts.items()} == {"garment": (2, 3), "kind": (2, 2)}
    np.testing.assert_array_equal(np.concatenate(list(parts.values()), axis=1), SCORES)


def test_answers_are_a_column_a_head_and_plain_where_there_is_one() -> None:
    assert TWO.answers(SCORES).tolist() == [[1, 1], [0, 0]]
    assert Heads({tasks.SINGLE: 5}).answers(SCORES).tolist() == [4, 0]


def test_labels_of_a_head() -> None:
    labels = np.array([[2, 0], [1, 1]])
    assert TWO.labels_of(None, "kind") is None
    kind = TWO.labels_of(labels, "kind")
    assert kind is not None and kind.tolist() == [0, 1]
    assert Heads({"logits": 3}).labels_of(labels[:, 0], "logits") is not None


def test_the_cosine_is_of_the_output_whose_vectors_are_furthest_and_of_none_without_vectors() -> None:
    tasks_of = {
        "near": Embedding(size=2),
        "far": Distribution(size=2),
        "shares": Distribution(size=2, probabilities=True),
    }
    heads = Heads({"near": 2, "far": 2, "shares": 2, "kind": 2}, tasks_of)
    one = np.array([[1, 0, 1, 0, 9, 0, 5, 0], [0, 2, 0, 3, 9, 0, 5, 0]], np.float32)
    other = np.array([[3, 0, 1, 1, 0, 9, 0, 5], [0, 1, 0, 1, 0, 9, 0, 5]], np.float32)
    assert heads.cosine(one, other) == pytest.approx((np.sqrt(0.5) + 1) / 2)
    assert heads.only("near").cosine(one[:, :2], other[:, :2]) == pytest.approx(1)
    assert TWO.cosine(SCORES, SCORES) is None and heads.only("shares").cosine(one[:, 4:6], other[:, 4:6]) is None
