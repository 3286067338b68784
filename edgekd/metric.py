"""How good predictions are, in numpy. Accuracy where there are labels, agreement with the teacher where not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def accuracy(scores: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Share of rows of ``scores`` (N, C) whose largest entry stands at ``labels`` (N,), 0..1."""
    return float(np.mean(scores.argmax(1) == labels))


def value(scores: NDArray[Any], labels: NDArray[np.int64] | None, teacher: NDArray[Any]) -> float:
    """The metric of a split: accuracy, or agreement with ``teacher`` (N, C) scores where ``labels`` is None."""
    return accuracy(scores, teacher.argmax(1) if labels is None else labels)


def name(labels: NDArray[np.int64] | None) -> str:
    """What ``value`` is called."""
    return "agreement" if labels is None else "accuracy"


def per_class(
    student: NDArray[Any], teacher: NDArray[Any], labels: NDArray[np.int64] | None, classes: tuple[str, ...]
) -> dict[str, Any]:
    """What the student took over, class by class: its accuracy, the teacher's, their agreement, and teacher x student.

    Without labels the teacher's word counts as the label.
    """
    s, t = student.argmax(1), teacher.argmax(1)
    y = t if labels is None else labels
    n = len(classes)
    confusion = np.zeros((n, n), dtype=np.int64)
    np.add.at(confusion, (t, s), 1)

    def share(hit: NDArray[np.bool_]) -> list[float | None]:
        return [float(hit[y == c].mean()) if (y == c).any() else None for c in range(n)]

    return {
        "classes": list(classes),
        "teacher": share(t == y),
        "student": share(s == y),
        "agree": share(s == t),
        "confusion": confusion.tolist(),
    }
