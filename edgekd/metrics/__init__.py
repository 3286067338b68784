"""Metrics, one a file: how good answers are. A metric of a user's own is a ``Metric``, or a ``PerSample``.

May import base, tasks and spec, with numpy, and scikit-learn where it has the formula.
"""

from edgekd.metrics._base import (
    Against,
    Labels,
    Metric,
    PerSample,
    Resampling,
    Scores,
    classifies,
    correlates,
    needs_triplets,
)
from edgekd.metrics._by_head import ByHead, needs_teacher, of_head
from edgekd.metrics._evaluator import Evaluator, cut
from edgekd.metrics._make import make_metric, metric_name, metric_of_teacher

__all__ = [
    "Against",
    "ByHead",
    "Evaluator",
    "Labels",
    "Metric",
    "PerSample",
    "Resampling",
    "Scores",
    "classifies",
    "correlates",
    "cut",
    "make_metric",
    "metric_name",
    "metric_of_teacher",
    "needs_teacher",
    "needs_triplets",
    "of_head",
]
