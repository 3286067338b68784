"""What a student took over from its teacher, class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.document.details import ByClass
from edgekd.tasks import CLASSES, Task

CONFUSION, PAIRS = 200, 8


def per_class(
    student: AnyArray,
    teacher: AnyArray,
    labels: NDArray[np.int64] | None,
    classes: tuple[str, ...],
    task: Task = CLASSES,
) -> ByClass:
    """What the student took over, class by class: its accuracy, the teacher's, their agreement, and teacher x student.

    Without labels the teacher's word counts as the label. Teacher x student only up to 200 classes, else None; the
    pairs (teacher's answer, student's, how often) that they most often part on in any case.

    Args:
        student, teacher: (N, K) scores; labels: (N,) in 0..K-1.
        classes: the names of the K.
        task: what the scores mean: of classes of which one is right.
    """
    s, t = task.answers(student), task.answers(teacher)
    y = t if labels is None else labels
    n = len(classes)
    confusion = None
    if n <= CONFUSION:
        confusion = np.zeros((n, n), dtype=np.int64)
        np.add.at(confusion, (t, s), 1)

    def share(hit: NDArray[np.bool_]) -> list[float | None]:
        return [float(hit[y == c].mean()) if (y == c).any() else None for c in range(n)]

    return {
        "classes": list(classes),
        "teacher": share(t == y),
        "student": share(s == y),
        "agree": share(s == t),
        "samples": np.bincount(y, minlength=n).tolist(),
        "pairs": _pairs(t, s),
        "confusion": None if confusion is None else confusion.tolist(),
    }


def _pairs(teacher: NDArray[np.int64], student: NDArray[np.int64]) -> list[list[int]]:
    both = np.stack([teacher, student], axis=1)[teacher != student]
    pairs, counts = np.unique(both, axis=0, return_counts=True)
    return [[*pairs[i].tolist(), int(counts[i])] for i in np.argsort(-counts, kind="stable")[:PAIRS]]
