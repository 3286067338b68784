"""The step that distils a student: it trains on the recipe's losses, its teachers' outputs kept per view."""

from __future__ import annotations

from pathlib import Path

from edgekd.build import structure
from edgekd.build.ensemble import TeacherOutputs
from edgekd.build.fit import fit
from edgekd.build.plan import DistilStep
from edgekd.build.trained import Trained, stored, thaw
from edgekd.build.workspace import Workspace
from edgekd.learn import nets
from edgekd.learn.student import Student


def student(
    workspace: Workspace, step: DistilStep, teacher: Student, taught_by: TeacherOutputs, held_against: TeacherOutputs
) -> Trained:
    """A student, from the store where it was trained before.

    Args:
        teacher: the first one, trained: its layers may be tapped, and the student may be made of it.
        taught_by, held_against: see ``fit``.
    """

    def make(scratch: Path) -> Trained:
        begun = begin(workspace, step, teacher)
        if step.schedule is None:
            return Trained(begun, [], 0.0)
        live = teacher.module
        return Trained(begun, fit(workspace, step, step.schedule, begun, taught_by, held_against, live, scratch), 0.0)

    return stored(workspace, step, make)


def begin(workspace: Workspace, step: DistilStep, teacher: Student) -> Student:
    """The student before its first batch: untrained, or the teacher after the passes of ``from_teacher``."""
    if step.passes is None:
        return workspace.untrained("student")
    subject = workspace.of_teacher(teacher.with_module(nets.copied(teacher.module, step.name)))
    thaw(subject.module, workspace)
    for one in step.passes:
        subject = structure.apply(one, subject, structure.context_of(workspace, step, one.change))
    return subject
