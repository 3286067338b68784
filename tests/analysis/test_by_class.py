"""Teacher and student, class by class."""

from __future__ import annotations

import numpy as np

from edgekd.analysis.by_class import CONFUSION, per_class
from edgekd.tasks.classification import Classification

STUDENT, TEACHER = np.eye(3)[[0, 1, 1, 2]], np.eye(3)[[0, 1, 2, 2]]
LABELS = np.array([0, 0, 2, 2])


def test_class_by_class_and_the_pairs_they_part_on() -> None:
    by_class = per_class(STUDENT, TEACHER, LABELS, ("a", "b", "c"))
    assert by_class["student"] == [0.5, None, 0.5] and by_class["teacher"] == [0.5, None, 1.0]
    assert by_class["agree"] == [1.0, None, 0.5] and by_class["samples"] == [2, 0, 2]
    assert by_class["pairs"] == [[2, 1, 1]] and by_class["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_without_labels_the_teachers_word_counts() -> None:
    assert per_class(STUDENT, TEACHER, None, ("a", "b", "c"))["teacher"] == [1.0, 1.0, 1.0]


def test_of_many_classes_there_is_no_table_but_the_pairs() -> None:
    names = tuple(map(str, range(CONFUSION + 1)))
    wide = np.eye(len(names))
    by_class = per_class(wide[[0, 1]], wide[[0, 2]], None, names)
    assert by_class["confusion"] is None and by_class["pairs"] == [[2, 1, 1]]


def test_what_scores_say_the_task_says() -> None:
    """A user's own classes, of which the smallest number is the answer."""

    class Nearest(Classification):
        def answers(self, scores: np.ndarray) -> np.ndarray:
            return scores.argmin(1)

    by_class = per_class(-STUDENT, -TEACHER, LABELS, ("a", "b", "c"), Nearest())
    assert by_class == per_class(STUDENT, TEACHER, LABELS, ("a", "b", "c"))
