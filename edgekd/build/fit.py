"""Train a student by distillation: the same of its own training and of what follows a pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from edgekd.build.ensemble import TeacherOutputs
from edgekd.build.plan import CompressStep, DistilStep
from edgekd.build.workspace import Workspace
from edgekd.learn import train
from edgekd.learn.answers import whole
from edgekd.learn.checkpoint import EpochRecord
from edgekd.learn.feed import Feed
from edgekd.learn.objective import Term
from edgekd.learn.student import Student
from edgekd.metrics import needs_teacher
from edgekd.spec.recipe import Schedule


def fit(
    workspace: Workspace,
    step: DistilStep | CompressStep,
    schedule: Schedule,
    subject: Student,
    taught_by: TeacherOutputs,
    held_against: TeacherOutputs,
    live: nn.Module,
    scratch: Path,
    begin_epoch: Callable[[int, int], None] | None = None,
    judged: Callable[[nn.Module], nn.Module] | None = None,
) -> list[EpochRecord]:
    """Train in place; what was learned, epoch by epoch.

    Args:
        taught_by: whose outputs it learns from: the teachers', or those of the student of an earlier generation.
        held_against: the teachers, which a metric against the teacher holds it to on validation.
        live: the first teacher, whose layers a loss may tap.
        scratch: where an interrupted training goes on from.
        begin_epoch, judged: see ``TrainingJob``.
    """
    is_taught = any("teacher" in term.loss.needs for term in step.terms)
    unlabelled = workspace.heads.unlabelled(workspace.feed.labels("validation"))
    against_teacher = needs_teacher(workspace.metric) or bool(unlabelled)
    job = train.TrainingJob(
        step.terms,
        workspace.taught,
        schedule,
        workspace.recipe.seed,
        teacher=taught_by.view if is_taught else None,
        live=tapped(workspace, live, step.terms),
        validation_teacher=whole(held_against.split("validation")) if against_teacher else None,
        evaluator=workspace.evaluator_of(step.name),
        begin_epoch=begin_epoch,
        judged=judged,
        progress=workspace.progress_of(step),
        where=step.name,
    )
    return train.fit(subject.module, job, scratch)


def tapped(workspace: Workspace, teacher: nn.Module, terms: Sequence[Term]) -> tuple[nn.Module, Feed] | None:
    """The first teacher and its view of the data, where a loss taps its layers; its answers alone are kept."""
    return (teacher, workspace.feed_of("teacher")) if any(term.on_features for term in terms) else None
