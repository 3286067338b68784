"""When answers are worth their place."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.build import request as requests
from edgekd.build.outputs import policy
from edgekd.build.outputs.policy import Cost, Readings
from edgekd.build.prepare import Objects, prepare

RECIPE: dict[str, Any] = {
    "name": "small",
    "data": {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 96, "validation": 48, "test": 48},
    "teacher": {"model": {"kind": "convnet", "width": 16, "depth": 2}, "epochs": 1},
    "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}},
    "losses": [{"kind": "kl"}],
    "targets": ["ort-cpu"],
}


@pytest.mark.parametrize(
    ("student", "views", "expected"),
    [(4, 2, Readings(2, 7)), (4, 8, Readings(4, 7)), (1, 8, Readings(3, 4)), (9, 1, Readings(1, 12))],
)
def test_the_trainings_of_a_plan_read_the_first_views(student: int, views: int, expected: Readings) -> None:
    compress = [{"kind": "int8_qat", "epochs": 3}]
    recipe = {**RECIPE, "student": {**RECIPE["student"], "epochs": student, "batch_size": 32}, "compress": compress}
    assert policy.readings(prepare(requests.make(recipe), Objects()).plan, views) == expected


@pytest.mark.parametrize(
    ("cost", "keeps"),
    [
        (Cost(answer_s=1.0, write_s=1.0, read_s=0.5, total=10, free=100), True),
        (Cost(answer_s=0.9, write_s=1.0, read_s=0.5, total=10, free=100), False),
        (Cost(answer_s=1.0, write_s=1.0, read_s=0.5, total=51, free=100), False),
    ],
)
def test_what_is_read_four_times_is_kept_if_that_costs_no_more(cost: Cost, keeps: bool) -> None:
    assert policy.keeps(cost, Readings(2, 8))[0] is keeps


def test_what_the_disk_cannot_hold_is_told() -> None:
    assert policy.large([10, 20], 30) is None
    assert "they take 31 B, and 30 B of the disk are free" in str(policy.large([11, 20], 30))
