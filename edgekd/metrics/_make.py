"""The recipe's metric: made, called by its name, and the answers class by class."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.metrics._base import Against, Metric
from edgekd.metrics._by_head import ByHead
from edgekd.tasks import CLASSES, SINGLE, Task

OF_CLASSES: Mapping[str, Task] = MappingProxyType({SINGLE: CLASSES})


def make_metric(table: Mapping[str, Any], where: str = "metric") -> Metric:
    """The metric of a recipe's table.

    Raises:
        RecipeError: an unknown kind or key, or a user's own that does not say what ``Metric`` asks for.
    """
    metric: Metric = plugins.build("metrics", table, where)
    stated = (("share", (True, False)), ("against", typing.get_args(Against)), ("classifies", (True, False, None)))
    for key, allowed in stated:
        if (setting := getattr(metric, key, None)) not in allowed:
            raise RecipeError(
                f"a metric says its {key!r}, a ClassVar", where=where, found=setting, allowed=map(repr, allowed)
            )
    return metric


def metric_of_teacher(
    metric: Metric | ByHead,
    tasks: Mapping[str, Task] = OF_CLASSES,
    labels: Mapping[str, AnyArray | None] = MappingProxyType({}),
) -> Metric | ByHead:
    """What the teacher's own training is validated by: it has labels, and no teacher.

    Args:
        tasks: of the heads; labels: of each, see ``Task.suited``.
    """
    if isinstance(metric, ByHead):
        of_tasks = {name: _of_labels(metric.of[name], task, labels.get(name)) for name, task in tasks.items()}
        return metric if of_tasks == dict(metric.of) else ByHead(of_tasks)
    name, task = next(iter(tasks.items()))
    return _of_labels(metric, task, labels.get(name))


def _of_labels(metric: Metric, task: Task, labels: AnyArray | None) -> Metric:
    """The metric, or where it is held against a teacher one of its task."""
    return metric if metric.against == "labels" else make_metric({"kind": task.suited(labels)[1]})


def metric_name(kind: str, labels: NDArray[np.int64] | None) -> str:
    """What a value is called: accuracy against the teacher is agreement."""
    return "agreement" if labels is None and kind == "accuracy" else kind
