"""What ``--quick`` makes of a recipe: every stage cut to seconds."""

from __future__ import annotations

from edgekd.spec.recipe import Recipe, Teacher

SAMPLES = 512  # of each split, at most


def quickened(recipe: Recipe) -> Recipe:
    """The recipe with every stage cut to one epoch."""
    once = {"epochs": 1}
    student = {"epochs": min(1, recipe.student.epochs)}
    return recipe.model_copy(
        update={
            "teacher": _once(recipe.teacher),
            "teachers": tuple(map(_once, recipe.teachers)),
            "student": recipe.student.model_copy(update=student),
            "compress": tuple({**table, **once} for table in recipe.compress),
        }
    )


def _once(teacher: Teacher) -> Teacher:
    """For one epoch, where it is trained at all."""
    return teacher.model_copy(update={"epochs": min(1, teacher.epochs)})
