"""The trained steps of a build as a report tells them: how large each is, and what it is worth before it is a file."""

from __future__ import annotations

import numpy as np

from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.scores import answered
from edgekd.build import exports, run
from edgekd.build.evaluation import Scores
from edgekd.build.plan import DistilStep, TeachStep, TrainedStep
from edgekd.document.report import Stage
from edgekd.learn.answers import whole
from edgekd.metrics import cut
from edgekd.publish.facts import BuildFacts


def stage_rows(facts: BuildFacts) -> list[Stage]:
    """Every trained step. Of several teachers there is a row each, and before them ``teacher``: all together."""
    rows = [(step, _stage(facts, step)) for step in facts.workspace.plan.of_kind(TrainedStep)]
    teachers = [row for step, row in rows if isinstance(step, TeachStep)]
    if len(teachers) == 1:
        return [row for _, row in rows]
    together: Stage = {
        **teachers[0],
        "params": sum(row["params"] for row in teachers),
        "size_bytes": sum(row["size_bytes"] for row in teachers),
        "seconds": sum(row["seconds"] for row in teachers),
        "value_validation": facts.evaluation.teacher_value("validation"),
        "value_test": facts.evaluation.teacher_value("test"),
    }
    numbered: list[Stage] = [{**row, "name": f"teacher {i + 1}"} for i, row in enumerate(teachers)]
    return [together, *numbered, *(row for step, row in rows if not isinstance(step, TeachStep))]


def _stage(facts: BuildFacts, step: TrainedStep) -> Stage:
    trained, plan = facts.trained[step.name], facts.workspace.plan
    shared = set(step.targets) == {t.name for t in plan.targets}
    return {
        "name": step.name if isinstance(step, DistilStep) else step.kind,
        "target": None if shared else ", ".join(step.targets),
        "params": trained.student.params,
        "size_bytes": _stage_size(facts, step),
        "value_validation": _stage_value(facts, step, "validation"),
        "value_test": _stage_value(facts, step, "test"),
        "seconds": round(trained.seconds, 3),
    }


def _stage_size(facts: BuildFacts, step: TrainedStep) -> int:
    plan = facts.workspace.plan
    if isinstance(step, TeachStep):
        return exports.teacher_size(facts.trained[step.name].student)
    for target in step.targets:
        for candidate in plan.candidates[target]:
            if candidate.step == step.name:
                return facts.measured[target].candidates[candidate.name].size_bytes
    return 4 * facts.trained[step.name].student.params


def _stage_value(facts: BuildFacts, step: TrainedStep, split: str) -> float:
    evaluation = facts.evaluation
    if isinstance(step, TeachStep):
        return _teacher_value(facts, step, split)
    scores = {of: evaluation.of_rows(of, facts.torch_reference(step.name, of)) for of in (split, "validation")}
    return evaluation.value(split, scores[split], evaluation.cuts(scores["validation"]))


def _teacher_value(facts: BuildFacts, step: TeachStep, split: str) -> float:
    """Of one teacher, over the samples that it answers; 0 where it answers none, as one of several may."""
    evaluator = facts.workspace.evaluator_of(step.name)
    scores, labels, reference, _ = _held(facts, step, "validation")
    cuts = evaluator.cuts(scores, labels, reference)
    scores, labels, reference, raw = _held(facts, step, split)
    return evaluator(cut(scores, cuts), labels, reference, raw) if len(scores) else 0.0


def _held(facts: BuildFacts, step: TeachStep, split: str) -> tuple[Scores, AnyArray | None, Scores, Samples]:
    """What one teacher says to the samples that it answers, and what an evaluator holds it against."""
    workspace, evaluation = facts.workspace, facts.evaluation
    feed, together = workspace.feed_of(step.name), evaluation.teacher(split)
    scores = together
    if len(workspace.feeds) > 1:
        scores = evaluation.of_rows(split, whole(run.answers(workspace, facts.trained, step.name).split(split)))
    reference = together if len(scores[0]) == len(together[0]) else scores
    known = np.flatnonzero(answered(scores))
    labels, rows = feed.labels(split), evaluation.rows[split][known]
    of_rows = None if labels is None else labels[rows]
    return scores[known], of_rows, reference[known], feed.raw(split)[rows]
