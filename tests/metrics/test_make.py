"""What a metric is called, and how it is made."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.base.errors import RecipeError
from edgekd.metrics import _make as make
from edgekd.metrics.accuracy import Accuracy
from edgekd.metrics.agreement import Agreement

LABELS = np.array([0, 0, 2, 2])


def test_accuracy_against_the_teacher_is_agreement() -> None:
    assert make.metric_name("accuracy", None) == "agreement" and make.metric_name("accuracy", LABELS) == "accuracy"
    assert isinstance(make.metric_of_teacher(Agreement()), Accuracy)
    assert make.metric_of_teacher(metric := Accuracy()) is metric


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'accuracy'"):
        make.make_metric({"kind": "acuracy"})
