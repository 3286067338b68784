"""Scores of several questions side by side: each head has its own columns."""

from __future__ import annotations

import numpy as np

from edgekd.base import heads

TWO = {"garment": 3, "kind": 2}
SCORES = np.array([[1.0, 5.0, 2.0, 0.0, 9.0], [7.0, 0.0, 0.0, 3.0, 1.0]])


def test_every_column_belongs_to_one_head_in_order() -> None:
    parts = heads.split(SCORES, TWO)
    assert {name: part.shape for name, part in parts.items()} == {"garment": (2, 3), "kind": (2, 2)}
    np.testing.assert_array_equal(np.concatenate(list(parts.values()), axis=1), SCORES)


def test_answers_are_a_column_a_head_and_plain_where_there_is_one() -> None:
    assert heads.answers(SCORES, TWO).tolist() == [[1, 1], [0, 0]]
    assert heads.answers(SCORES, {heads.SINGLE: 5}).tolist() == [4, 0]


def test_labels_of_a_head() -> None:
    labels = np.array([[2, 0], [1, 1]])
    assert heads.labels_of(None, TWO, "kind") is None
    kind = heads.labels_of(labels, TWO, "kind")
    assert kind is not None and kind.tolist() == [0, 1]
    assert heads.labels_of(labels[:, 0], {"logits": 3}, "logits") is not None
