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
DISTANCE = {"shift": [0.0] * 3, "axes": [[1.0, 0.0, 0.0]], "means": [[2.0], [-2.0]], "weights": [0.5]}
NEAR = {"by": "distance", "least": 0.0, "temperature": 1.0, "distance": DISTANCE}


def test_they_are_given_to_their_tasks() -> None:
    heads = thresholds.decided(HEADS, {"a": {"sure": SURE}, "b": {"labels": [0.25, 0.75]}}, "m")
    assert heads.tasks["b"] == MultiLabel(threshold=(0.25, 0.75)) and heads.tasks["a"] == HEADS.tasks["a"]
    sure = [one.sure for one in heads.decode("a", np.array([[2, 0, 0], [-2, -2, -2]], np.float32), "xyz")]
    assert sure == [True, False]
    assert heads.decode("b", np.zeros((1, 2), np.float32), "xy")[0].labels == ("x",)
    assert thresholds.decided(HEADS, {}, "m") == HEADS != heads


def test_a_distance_is_computed_with_what_the_manifest_says() -> None:
    """Half the square less the square to the nearest of 2 and -2: 2, -4 and 50 - 64."""
    heads = thresholds.decided(HEADS, {"a": {"sure": {**NEAR, "least": 2.0}}}, "m")
    scores = np.array([[2, 0, 9], [0, 0, 9], [-10, 0, 9]], np.float32)
    assert heads.certainties["a"].values(heads.tasks["a"], scores).tolist() == [2.0, -4.0, -14.0]
    assert [one.sure for one in heads.decode("a", scores, "xyz")] == [True, False, False]
    nothing = {"by": "distance", "least": None, "temperature": 1.0}
    assert not any(
        one.sure for one in thresholds.decided(HEADS, {"a": {"sure": nothing}}, "m").decode("a", scores, "xyz")
    )


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
        ({"a": {"sure": {**SURE, "by": "distance"}}}, r"m\.a\.sure: the score is not described"),
        ({"a": {"sure": {**SURE, "distance": DISTANCE}}}, r"m\.a\.sure\.distance: parameters of another score"),
        ({"b": {"sure": {**NEAR, "by": "distance"}}}, r"m\.b\.sure\.by: no score of this task's"),
        *(
            ({"a": {"sure": {**NEAR, "distance": {**DISTANCE, **wrong}}}}, message)
            for wrong, message in (
                ({"shift": [0.0]}, r"m\.a\.sure\.distance\.shift: numbers of another shape"),
                ({"axes": []}, r"distance\.axes: numbers of another shape"),
                ({"axes": [[1.0, 0.0]]}, r"distance\.axes: numbers of another shape"),
                ({"axes": [[1.0, 0.0, 0.0]] * 4}, r"distance\.axes: numbers of another shape"),
                ({"means": [[2.0]] * 4}, r"distance\.means: numbers of another shape"),
                ({"means": [[2.0, 1.0]]}, r"distance\.means: numbers of another shape"),
                ({"weights": []}, r"distance\.weights: numbers of another shape"),
                ({"weights": [1.5]}, r"distance\.weights"),
                ({"means": 1}, r"distance\.means"),
                ({"more": 1}, "more"),
            )
        ),
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
