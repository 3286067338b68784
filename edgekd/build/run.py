"""The middle of a build, which ``build`` and ``tune`` share: train, export, measure, choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from edgekd.base import notes
from edgekd.base.errors import reading
from edgekd.build import ensemble, exports, measure, plan, steps, teacher_check
from edgekd.build.ensemble import Answers, Watching
from edgekd.build.evaluation import Exam
from edgekd.build.measure import Measured
from edgekd.build.prepare import Objects, prepare
from edgekd.build.request import Order
from edgekd.build.torch_reference import StageScores
from edgekd.decide import choose, fallbacks
from edgekd.decide.choose import Choice
from edgekd.runtime import runners
from edgekd.spec.recipe import Budget

SECONDS = 1.0  # of timing a candidate
QUICK_SECONDS = 0.1  # of timing a candidate with --quick: whether it runs, not how fast


def seconds(order: Order) -> float:
    """Of timing each candidate of an order, at least."""
    return QUICK_SECONDS if order.quick else SECONDS


class Made(NamedTuple):
    """Everything that a plan's steps give, before the choice."""

    trained: dict[str, steps.Trained]
    watching: Watching
    stage_scores: StageScores
    exam: Exam
    measured: dict[str, Measured]


def make_all(bench: steps.Bench, seconds: float) -> Made:
    """Train, export and measure; ``seconds``: of timing each candidate, at least."""
    trained, watching = train_all(bench)
    onnx = export_all(bench, trained)
    stage_scores = StageScores(bench, trained)
    exam = Exam.of(bench.feed, watching.split, bench.judge_of("student"))
    return Made(trained, watching, stage_scores, exam, measure_all(bench, onnx, stage_scores, exam, seconds))


def checked(order: Order, objects: Objects) -> steps.Bench:
    """The parts of an order, built; every target can be run where it is measured."""
    run = runners.of(order.measure_on, lambda line: order.progress({"step": line, "epoch": None}))
    for target in order.targets:
        measure.check_target(target, run)
    with reading(order.file):
        bench = replace(prepare(order, objects), runner=run)
    notes.tell(order.progress, bench.notes)
    return bench


def train_all(bench: steps.Bench) -> tuple[dict[str, steps.Trained], Watching]:
    """Every trained step of the plan, in the order of the tree."""
    trained = {name: steps.teacher(bench, bench.plan.steps[name]) for name in bench.recipe.panel}
    said = {
        name: (answers(bench, trained, name), table.head, table.weight) for name, table in bench.recipe.panel.items()
    }
    for name, (says, _, _) in said.items():
        teacher_check.check(bench, name, says.split("validation"))
    watching = ensemble.make(said, bench.heads, bench.recipe.combine)
    live = trained["teacher"].student.module
    for _, step in bench.plan.walk("teacher"):
        if step.kind == "student":
            heard = whom(bench, trained, watching, step)
            trained[step.name] = steps.student(bench, step, trained["teacher"].student, heard, watching)
        elif step.trains:
            trained[step.name] = steps.compress(bench, step, trained[step.parent or ""].student, watching, live)
    return trained, watching


def whom(bench: steps.Bench, trained: Mapping[str, steps.Trained], watching: Watching, step: plan.Step) -> Watching:
    """Whom a student learns from: of a later generation the student before it, else the teachers."""
    before = step.parent or ""
    return watching if before in bench.feeds else answers(bench, trained, before)


def answers(bench: steps.Bench, trained: Mapping[str, steps.Trained], step: str) -> Answers:
    """What a trained step's network says, kept."""
    module = trained[step].student.module
    return Answers(bench.store, bench.plan.steps[step].key, module, bench.feed_of(step), bench.recipe.seed, step)


def export_all(bench: steps.Bench, trained: Mapping[str, steps.Trained]) -> dict[str, dict[str, bytes]]:
    """The ONNX file of every candidate, by target and name."""
    metadata = exports.metadata(bench)
    return {
        target.name: {
            c.name: exports.export(bench, bench.plan.steps[c.export], trained[c.step].student, metadata)
            for c in bench.plan.candidates[target.name]
        }
        for target in bench.plan.targets
    }


def measure_all(
    bench: steps.Bench,
    onnx: Mapping[str, Mapping[str, bytes]],
    stage_scores: StageScores,
    exam: Exam,
    seconds: float,
) -> dict[str, Measured]:
    """Every target's candidates, measured there, each for at least so many seconds."""
    found = {}
    for target in bench.plan.targets:
        step = bench.plan.steps[f"measure {target.name}"]
        bench.progress({"step": step.name})
        candidates = bench.plan.candidates[target.name]
        of_torch = {c.name: stage_scores(c.step, "validation", numerics=c.numerics) for c in candidates}
        files = onnx[target.name]
        found[target.name] = measure.run(
            target, candidates, files, exam, of_torch, bench.store, step.key, seconds, bench.runner
        )
        for sentence in found[target.name].exam.left_out(target.name):
            bench.note(sentence)
    return found


def teacher_bytes(bench: steps.Bench, trained: Mapping[str, steps.Trained]) -> int:
    """The size of the teachers' fp32 files, all together."""
    opset, tree = bench.plan.targets[0].opset, bench.plan.steps
    return sum(exports.teacher_size(bench, tree[name], trained[name].student, opset) for name in bench.recipe.panel)


def choose_all(measured: Mapping[str, Measured], budget: Budget, *, gated: bool = True) -> dict[str, Choice]:
    """What ships on each target; validation decides. Not ``gated``: the wishes are only reported."""

    def chosen(on: Measured) -> Choice:
        teacher_value, because = on.exam.teacher_value("validation"), fallbacks.told(on.profiles)
        return choose.choose(on.contenders(), budget, teacher_value, on.ratio, because, gated=gated)

    return {name: chosen(on) for name, on in measured.items()}
