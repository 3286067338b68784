"""How far the numbers of a decision may be from those that were written down."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.runtime import decisions
from edgekd.tasks import Values, numbers_off
from edgekd.tasks.classification import Classification
from edgekd.tasks.regression import Regression

RECORDS = [{"values": [20.0, 101e3]}, {"values": [22.0, 102e3]}]


def test_a_value_is_held_to_the_range_of_its_own_column() -> None:
    slack = decisions._slack(Regression(), 0.05, RECORDS)
    assert np.array(slack) == pytest.approx([0.1, 51], rel=0.05)
    for values, places in (((20.05, 101e3 + 40), []), ((25.0, 101e3), ["value 0"]), ((20.0, 101.1e3), ["value 1"])):
        offs = numbers_off(Regression(), Values(values, ("degC", "Pa")), RECORDS[0], slack)
        assert [off.place for off in offs if off.distance > 1] == places
    assert decisions._slack(Regression(points=True), 0.05, RECORDS) == pytest.approx(0.05 * 102e3, rel=0.01)


def test_small_values_are_held_as_large_ones_are() -> None:
    (slack,) = np.array(decisions._slack(Regression(), 1e-3, [{"values": [0.001]}, {"values": [0.009]}]))
    assert slack == pytest.approx(8e-6)
    nothing = decisions._slack(Regression(), 1e-3, [{"values": [0.0]}])
    assert [off.distance for off in numbers_off(Regression(), Values((0.0,), ("y",)), {"values": [0.0]}, nothing)] == [
        0
    ]


def test_scores_of_classes_have_one_range() -> None:
    records = [{"index": 0, "label": "a", "score": 0.9, "scores": [[0, 0.9], [1, 0.1]]}]
    assert decisions._slack(Classification(), 0.05, records) == pytest.approx(0.05 * np.log(9), rel=1e-3)
