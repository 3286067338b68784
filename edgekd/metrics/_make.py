"""The recipe's metric: made, called by its name, and the answers class by class."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.metrics._base import Against, Metric
from edgekd.metrics.accuracy import Accuracy

CONFUSION, PAIRS = 200, 8


def make_metric(table: Mapping[str, Any]) -> Metric:
    """The metric of a recipe's table.

    Raises:
        RecipeError: an unknown kind or key, or a user's own that does not say what ``Metric`` asks for.
    """
    made: Metric = plugins.build("metrics", table, "metric")
    for key, allowed in (("share", (True, False)), ("against", typing.get_args(Against))):
        if (found := getattr(made, key, None)) not in allowed:
            raise RecipeError(
                f"a metric says its {key!r}, a ClassVar", where="metric", found=found, allowed=map(repr, allowed)
            )
    return made


def metric_of_teacher(metric: Metric) -> Metric:
    """What the teacher's own training is validated by: it has labels, and no teacher."""
    return Accuracy() if metric.against == "teacher" else metric


def metric_name(kind: str, labels: NDArray[np.int64] | None) -> str:
    """What a value is called: accuracy against the teacher is agreement."""
    return "agreement" if labels is None and kind == "accuracy" else kind


def per_class(
    student: AnyArray, teacher: AnyArray, labels: NDArray[np.int64] | None, classes: tuple[str, ...]
) -> dict[str, Any]:
    """What the student took over, class by class: its accuracy, the teacher's, their agreement, and teacher x student.

    Without labels the teacher's word counts as the label. Teacher x student only up to 200 classes, else None; the
    pairs (teacher's answer, student's, how often) that they most often part on in any case.
    """
    s, t = student.argmax(1), teacher.argmax(1)
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
    found, counts = np.unique(both, axis=0, return_counts=True)
    return [[*found[i].tolist(), int(counts[i])] for i in np.argsort(-counts, kind="stable")[:PAIRS]]
