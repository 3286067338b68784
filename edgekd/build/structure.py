"""A pass applied to a student: its structure changes, and what it was told and took is recorded; nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from edgekd.base import plugins
from edgekd.base.plain import plain
from edgekd.build import context, taken
from edgekd.build.ensemble import TeacherOutputs
from edgekd.build.plan import CompressStep, DistilStep, Step
from edgekd.build.workspace import Workspace
from edgekd.compress import Clock, Context, Pass, TablePass
from edgekd.learn import ranks
from edgekd.learn.student import Student


def apply(one: TablePass, before: Student, pass_context: Context) -> Student:
    """What a pass makes of a student; the record in its lineage also holds the pass's own table."""
    where = f"compress: {one.kind}"
    plugins.call_user(one.change.requires, where, before, pass_context)
    changed: Student = plugins.call_user(one.change.apply, where, before, pass_context)
    plugins.call_user(one.change.ensures, where, before, changed)
    *earlier, last = changed.lineage
    return replace(changed, lineage=(*earlier, {**last, "table": plain(one.table)}))


def context_of(
    workspace: Workspace, step: DistilStep | CompressStep, change: Pass, teacher_outputs: TeacherOutputs | None = None
) -> Context:
    """What a pass is told. ``watching``: the teachers, where they are trained."""
    numerics = step.numerics if isinstance(step, CompressStep) else None
    pass_context = context.make(workspace.taught, numerics, step.channel_multiple, change, step.terms, teacher_outputs)
    if not change.timed:
        return pass_context
    return replace(pass_context, clock=_one_clock(workspace.clocks[step.targets[0]]))


def _one_clock(clock: Clock) -> Clock:
    """Of several ranks the first one's: no two measure the same, and all make the same student."""

    def timed(students: Sequence[Student]) -> list[float]:
        files = ranks.from_first(lambda: {"ms": json.dumps(clock(students)).encode()}) or {}
        milliseconds: list[float] = json.loads(files["ms"])
        return milliseconds

    return timed


def tell_taken(workspace: Workspace, step: Step, changed: Student) -> str | None:
    """How much a pass took, to the log, and what it left whole, as notes; the sentence of the log."""
    record = changed.lineage[-1]
    sentence = taken.sentence(record)
    if sentence is not None:
        workspace.progress({"step": f"{step.name}: {sentence}", "epoch": None})
    for note in taken.notes(record):
        workspace.note(note)
    return sentence
