"""Thresholds of a manifest are a stranger's: each that fits nothing is refused with its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import IntegrityError
from edgekd.runtime import thresholds
from edgekd.tasks import Heads
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression

HEADS = Heads({"a": 3, "b": 2, "c": 1}, {"b": MultiLabel(), "c": Regression()})
SURE = {"by": "energy", "least": 1.5, "temperature": 2.0}


def test_they_are_given_to_their_tasks() -> None:
    heads = thresholds.decided(HEADS, {"a": {"sure": SURE}, "b": {"labels": [0.25, 0.75]}}, "m")
    assert heads.tasks["b"] == MultiLabel(threshold=(0.25, 0.75)) and heads.tasks["a"] == HEADS.tasks["a"]
    sure = [one.sure for one in heads.decode("a", np.array([[2, 0, 0], [-2, -2, -2]], np.float32), "xyz")]
    assert sure == [True, False]
    assert heads.decode("b", np.zeros((1, 2), np.float32), "xy")[0].labels == ("x",)
    assert thresholds.decided(HEADS, {}, "m") == HEADS != heads


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "m: not a table"),
        ({"d": {"sure": SURE}}, r"m\.d: no thresholds of an output"),
        ({"a": {}}, r"m\.a: no thresholds of an output"),
        ({"a": 0.5}, "m: a"),
        ({"a": {"labels": [0.5] * 3}}, r"m\.a\.labels: thresholds of a task that has none"),
        ({"b": {"labels": [0.5]}}, r"m\.b\.labels: a threshold for each label; found '1 thresholds'; allowed: 2"),
        ({"b": {"labels": [0.5, 1.0]}}, r"m\.b\.labels: not a probability"),
        ({"b": {"labels": [0.5, 2.0]}}, "labels"),
        ({"b": {"labels": [0.5, 0.5], "other": 1}}, "other"),
        ({"b": {"sure": SURE}}, r"m\.b\.sure\.by: no score of this task's; found 'energy'; allowed: margin"),
        ({"c": {"sure": {**SURE, "by": "margin"}}}, r"m\.c\.sure\.by: no score of this task's"),
        ({"a": {"sure": {**SURE, "temperature": 0}}}, "temperature"),
        ({"a": {"sure": {**SURE, "least": "1"}}}, "least"),
        ({"a": {"sure": {"by": "margin", "least": 1}}}, "temperature"),
    ],
)
def test_what_fits_nothing_is_refused(table: Any, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        thresholds.decided(HEADS, table, "m")


def test_a_task_with_thresholds_of_its_own_takes_none() -> None:
    heads = Heads({"b": 2}, {"b": MultiLabel(threshold=0.3)})
    with pytest.raises(IntegrityError, match="a task that has none"):
        thresholds.decided(heads, {"b": {"labels": [0.5, 0.5]}}, "m")
