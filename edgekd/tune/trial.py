"""One recipe, tried: its shape first, then a share of the epochs, then the real thing; never the test split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgekd.build import compression, exports, measure, rehearsal, run
from edgekd.build.plan import TeachStep
from edgekd.build.prepare import Objects, prepare
from edgekd.build.request import BuildRequest, identified
from edgekd.build.torch_reference import TorchReference
from edgekd.build.workspace import Workspace
from edgekd.decide.budget import resolved
from edgekd.decide.choose import Choice
from edgekd.document.tune import Ships
from edgekd.learn import threads
from edgekd.learn.data import Dataset
from edgekd.runtime.runners import BuildRunner, LocalRunner
from edgekd.spec.quick import quickened
from edgekd.spec.recipe import Budget, Recipe, Schedule
from edgekd.tune.verdict import Result, Shape, missed

RUNG = 1 / 3  # of the epochs


@dataclass(frozen=True)
class Lab:
    """What all trials share: the request they are variations of, its data (read once), the wishes, who measures."""

    request: BuildRequest
    dataset: Dataset
    budget: Budget
    runner: BuildRunner = field(default_factory=LocalRunner)

    def request_of(self, recipe: Recipe) -> BuildRequest:
        """The request of one of the recipes."""
        base = self.request
        final = quickened(recipe) if base.quick else recipe
        return identified(replace(base, recipe=final), seen=True)  # which its trials ran

    def workspace(self, recipe: Recipe) -> Workspace:
        """Every part of a recipe, built and checked."""
        return prepare(self.request_of(recipe), Objects(dataset=self.dataset), self.runner)


def shapes(lab: Lab, recipe: Recipe) -> dict[str, dict[str, Shape]]:
    """How fast and how large each candidate will be, by target, in seconds and without training."""
    with threads.fixed(recipe.threads):
        rehearsed = rehearsal.run(lab.workspace(recipe))
    return {
        target: {name: Shape(latency, rehearsed["size_bytes"][target][name]) for name, latency in candidates.items()}
        for target, candidates in rehearsed["latency_ms"].items()
    }


def wishes(lab: Lab, recipe: Recipe) -> Budget:
    """The budget before anything trains, its share of the teacher as a size."""
    if lab.budget.max_size_share is None:
        return lab.budget
    workspace = lab.workspace(recipe)
    teachers = workspace.plan.of_kind(TeachStep)
    return resolved(lab.budget, sum(exports.teacher_size(workspace.untrained(step.name)) for step in teachers))


def shortened(recipe: Recipe) -> Recipe | None:
    """The recipe of the first rung: a third of the epochs, and nothing quantized. None where that saves nothing."""

    def third(epochs: int) -> int:
        return max(min(epochs, 1), math.ceil(epochs * RUNG))

    if third(recipe.student.epochs) == recipe.student.epochs:
        return None
    usual = Schedule().epochs
    parsed = compression.parse(recipe.compress, recipe.losses)
    kept = [table for table, one in zip(recipe.compress, parsed, strict=True) if not one.whole.change.quantizes]
    return recipe.model_copy(
        update={
            "student": recipe.student.model_copy(update={"epochs": third(recipe.student.epochs)}),
            "compress": tuple({**table, "epochs": third(table.get("epochs", usual))} for table in kept),
        }
    )


def rung(lab: Lab, recipe: Recipe) -> float:
    """The value of a shortened recipe's last float student on validation, in torch."""
    with threads.fixed(recipe.threads):
        return _rung(lab.workspace(recipe))


def _rung(workspace: Workspace) -> float:
    trained, teacher_outputs = run.train_all(workspace)
    evaluation = run.evaluation_of(workspace, teacher_outputs)
    scores = TorchReference(workspace, trained)
    names = {c.step for candidates in workspace.plan.candidates.values() for c in candidates}
    last = [step.name for _, step in workspace.plan.walk() if step.name in names][-1]
    answers = scores(last, "validation")
    return evaluation.value("validation", answers, evaluation.cuts(answers))


def full(lab: Lab, recipe: Recipe, number: int) -> Result:
    """A build without a bundle: what would ship on each target, as it was measured there."""
    with threads.fixed(recipe.threads):
        workspace = lab.workspace(recipe)
        built = run.make_all(workspace, run.seconds(lab.request))
        budget = resolved(lab.budget, run.teacher_bytes(workspace, built.trained))
    return _result(budget, number, built.measured, run.choose_all(built.measured, budget))


def _result(
    budget: Budget, number: int, measured: Mapping[str, measure.Measured], choices: Mapping[str, Choice]
) -> Result:
    rows: dict[str, Ships] = {}
    beyond: dict[str, float] = {}
    gates: list[str] = []
    for name, choice in choices.items():
        contenders, teacher = measured[name].contenders(), measured[name].evaluation.teacher_value("validation")
        lost = {
            c.name: missed(
                budget, drop=teacher - c.value, latency_ms=c.p50_ms, size_bytes=c.size_bytes, cosine=c.cosine
            )
            for c in contenders
        }
        near = min(contenders, key=lambda c: (c.parity is not None, sum(lost[c.name].values())))
        contender = next((c for c in contenders if c.name == choice.shipped), near)
        rows[name] = {
            "candidate": contender.name,
            "value": contender.value,
            "drop": teacher - contender.value,
            "p50_ms": contender.p50_ms,
            "size_bytes": contender.size_bytes,
            "reason": choice.reason,
        }
        for wish, share in lost[contender.name].items():
            beyond[wish] = max(share, beyond.get(wish, 0.0))
        if choice.shipped is None and (contender.parity is not None or not lost[contender.name]):
            gates.append(f"{name}: {choice.verdicts[contender.name]}")
    return Result(
        number,
        value=min(row["value"] for row in rows.values()),
        p50_ms=max(row["p50_ms"] for row in rows.values()),
        size_bytes=max(row["size_bytes"] for row in rows.values()),
        drop=max(row["drop"] for row in rows.values()),
        missed=beyond,
        gate="; ".join(gates),
        targets=rows,
    )
