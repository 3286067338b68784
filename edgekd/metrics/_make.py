"""The recipe's metric: made, called by its name, and the answers class by class."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.metrics._base import Against, Metric
from edgekd.tasks import CLASSES, Task


def make_metric(table: Mapping[str, Any]) -> Metric:
    """The metric of a recipe's table.

    Raises:
        RecipeError: an unknown kind or key, or a user's own that does not say what ``Metric`` asks for.
    """
    metric: Metric = plugins.build("metrics", table, "metric")
    stated = (("share", (True, False)), ("against", typing.get_args(Against)), ("classifies", (True, False, None)))
    for key, allowed in stated:
        if (setting := getattr(metric, key, None)) not in allowed:
            raise RecipeError(
                f"a metric says its {key!r}, a ClassVar", where="metric", found=setting, allowed=map(repr, allowed)
            )
    return metric


def metric_of_teacher(metric: Metric, task: Task = CLASSES) -> Metric:
    """What the teacher's own training is validated by: it has labels, and no teacher."""
    return make_metric({"kind": task.metrics[0]}) if metric.against == "teacher" else metric


def metric_name(kind: str, labels: NDArray[np.int64] | None) -> str:
    """What a value is called: accuracy against the teacher is agreement."""
    return "agreement" if labels is None and kind == "accuracy" else kind
