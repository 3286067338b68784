"""The recipe's table of kept answers: what counts in keys, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.base.errors import RecipeError
from edgekd.spec import recipe
from edgekd.spec.teacher_outputs import TeacherOutputs


@pytest.mark.parametrize(
    ("table", "of_form"),
    [
        ({}, None),
        ({"policy": "auto", "shard_mb": 1, "top": 3}, None),
        ({"form": "float16", "top": 3}, {"form": "float16"}),
        ({"form": "top", "policy": "recompute"}, {"form": "top", "top": 8}),
    ],
)
def test_the_form_alone_changes_what_a_student_learns_from(table: dict[str, Any], of_form: object) -> None:
    outputs = TeacherOutputs.model_validate(table)
    assert (outputs.of_form if outputs.changes_answers else None) == of_form


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("form=float8", r"teacher_outputs\.form.*top"),
        ("policy=never", r"teacher_outputs\.policy.*auto"),
        ("top=0", r"teacher_outputs\.top"),
        ("shard_mb=0", r"teacher_outputs\.shard_mb"),
        ("fomr=top", r"teacher_outputs\.fomr.*did you mean 'form'"),
    ],
)
def test_a_mistake_says_where(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.load("digits", [f"teacher_outputs.{setting}"])
