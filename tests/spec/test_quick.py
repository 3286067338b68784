"""What ``--quick`` makes of every built-in recipe: stages of one epoch, and nothing else changed."""

from __future__ import annotations

import pytest

from edgekd.base import recipe_files
from edgekd.spec import recipe
from edgekd.spec.quick import quickened


@pytest.mark.parametrize("name", recipe_files.builtins())
def test_every_stage_is_cut_to_one_epoch_and_the_rest_stays(name: str) -> None:
    whole = recipe.load(name)[0]
    quick = quickened(whole)
    assert quick.teacher.epochs == 1 and quick.student.epochs <= 1
    assert all(teacher.epochs == 1 for teacher in quick.teachers) and all(t["epochs"] == 1 for t in quick.compress)
    stages = {"teacher", "teachers", "student", "compress"}
    assert quick.model_dump(exclude=stages) == whole.model_dump(exclude=stages)
    assert quick.student.model == whole.student.model and quickened(quick) == quick


def test_a_student_that_is_not_trained_stays_so() -> None:
    table = {"name": "r", "data": {"source": "digits"}, "teacher": {"model": {"kind": "convnet"}}}
    made_of_teacher = recipe.parse(
        {**table, "student": {"from_teacher": [], "epochs": 0}, "losses": [{"kind": "kl"}]}, "r"
    )
    assert quickened(made_of_teacher).student.epochs == 0
