"""The middle of a build, which ``build`` and ``tune`` share: train, export, measure, choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from edgekd.base import notes
from edgekd.base.errors import reading
from edgekd.build import compress, distil, ensemble, exports, measure, teach, teacher_check
from edgekd.build.ensemble import TeacherOutputs
from edgekd.build.evaluation import EvaluationSet
from edgekd.build.measure import Measured
from edgekd.build.mixed import Refinement
from edgekd.build.outputs import cached, policy
from edgekd.build.outputs.cached import CachedOutputs
from edgekd.build.plan import CompressStep, DistilStep, ExportStep, MeasureStep, TeachStep
from edgekd.build.prepare import Objects, prepare
from edgekd.build.request import BuildRequest
from edgekd.build.torch_reference import TorchReference
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.decide import choose, fallbacks
from edgekd.decide.budget import resolved
from edgekd.decide.choose import Choice
from edgekd.learn import ranks
from edgekd.learn.answers import whole
from edgekd.learn.teaching import NetworkOutputs, asked_once
from edgekd.runtime import runners
from edgekd.spec.recipe import Budget

SECONDS = 1.0  # of timing a candidate
QUICK_SECONDS = 0.1  # of timing a candidate with --quick: whether it runs, not how fast


def seconds(request: BuildRequest) -> float:
    """Of timing each candidate of an order, at least."""
    return QUICK_SECONDS if request.quick else SECONDS


class Made(NamedTuple):
    """Everything that a plan's steps give, before the choice."""

    trained: dict[str, Trained]
    teacher_outputs: TeacherOutputs
    torch_reference: TorchReference
    evaluation: EvaluationSet
    measured: dict[str, Measured]


def make_all(workspace: Workspace, seconds: float) -> Made:
    """Train, export and measure; ``seconds``: of timing each candidate, at least."""
    with ranks.together():
        trained, teacher_outputs = train_all(workspace)
    traces: exports.Traces = {}
    onnx = export_all(workspace, trained, traces)
    torch_reference = TorchReference(workspace, trained)
    evaluation = evaluation_of(workspace, teacher_outputs)
    measured = measure_all(workspace, onnx, torch_reference, evaluation, seconds)
    budget = resolved(workspace.recipe.budget, teacher_bytes(workspace, trained))
    refinement = Refinement(workspace, trained, torch_reference, evaluation, budget, seconds, traces)
    steps = {step.runtime.name: step for step in workspace.plan.of_kind(MeasureStep)}
    measured = {name: refinement.target(steps[name], onnx[name], on) for name, on in measured.items()}
    return Made(trained, teacher_outputs, torch_reference, evaluation, measured)


def evaluation_of(workspace: Workspace, teacher_outputs: TeacherOutputs) -> EvaluationSet:
    """What students are scored on; the user is told what of it no teacher answers."""
    may_miss = any(source.may_miss for source in workspace.sources.values())
    evaluator = workspace.evaluator_of("student")
    evaluation = EvaluationSet.of(
        workspace.feed, lambda split: whole(teacher_outputs.split(split)), evaluator, may_miss=may_miss
    )
    for sentence in evaluation.unanswered():
        workspace.note(sentence)
    return evaluation


def checked(request: BuildRequest, objects: Objects) -> Workspace:
    """The parts of an order, built; every target can be run where it is measured."""
    run = runners.of(request.measure_on, lambda line: request.progress({"step": line, "epoch": None}))
    with reading(request.file):
        workspace = prepare(request, objects, run)
    outdated = request.store.outdated()
    notes.tell(request.progress, [*workspace.notes, *([outdated] if outdated else [])])
    return workspace


def check_teachers(workspace: Workspace) -> None:
    """Open the teachers that are read and not trained, as a build does before it asks them: do they take the data?"""
    for name in workspace.recipe.ensemble:
        if name not in workspace.sources and workspace.plan.get(name, TeachStep).schedule is None:
            workspace.untrained(name)


def train_all(workspace: Workspace) -> tuple[dict[str, Trained], TeacherOutputs]:
    """Every trained step of the plan, in the order of the tree."""
    plan = workspace.plan
    trained = {name: teach.teacher(workspace, plan.get(name, TeachStep)) for name in workspace.recipe.ensemble}
    member_outputs = {
        name: (answers(workspace, trained, name), table.head, table.weight)
        for name, table in workspace.recipe.ensemble.items()
    }
    notes.tell(workspace.progress, cached.size_notes([says for says, _, _ in member_outputs.values()]))
    for name, (says, _, _) in member_outputs.items():
        teacher_check.check(workspace, name, whole(says.split("validation")))
    of_shares = [name for name, source in workspace.sources.items() if getattr(source, "of_shares", False)]
    teacher_outputs = ensemble.make(member_outputs, workspace.heads, workspace.recipe.combine, of_shares)
    live = trained["teacher"].student.module
    for _, step in plan.walk("teacher"):
        if isinstance(step, DistilStep):
            taught_by = outputs_for(workspace, trained, teacher_outputs, step)
            trained[step.name] = distil.student(workspace, step, trained["teacher"].student, taught_by, teacher_outputs)
        elif isinstance(step, CompressStep):
            trained[step.name] = compress.compress(workspace, step, trained[step.parent].student, teacher_outputs, live)
    return trained, teacher_outputs


def outputs_for(
    workspace: Workspace, trained: Mapping[str, Trained], teacher_outputs: TeacherOutputs, step: DistilStep
) -> TeacherOutputs:
    """Whose outputs a student learns from: of a later generation the student's before it, else the teachers'."""
    return teacher_outputs if step.parent in workspace.feeds else answers(workspace, trained, step.parent)


def answers(workspace: Workspace, trained: Mapping[str, Trained], step: str) -> CachedOutputs:
    """What a trained step's network says, or a teacher that only answers, kept."""
    feed = workspace.feed_of(step)
    return CachedOutputs(
        workspace.store,
        workspace.plan.steps[step].key,
        asked_once(workspace.sources.get(step)) or NetworkOutputs(trained[step].student.module, feed),
        feed,
        tuple(workspace.heads_of(step).values()),
        workspace.recipe.seed,
        step,
        workspace.recipe.teacher_outputs,
        policy.readings(workspace.plan, feed.views),
        lambda line: notes.tell(workspace.progress, [line]),
    )


def export_all(
    workspace: Workspace, trained: Mapping[str, Trained], traces: exports.Traces | None = None
) -> dict[str, dict[str, bytes]]:
    """The ONNX file of every candidate, by target and name; ``traces``: as of ``exports.lowered``."""
    metadata = exports.metadata(workspace)
    traces = {} if traces is None else traces
    return {
        target.name: {
            c.name: exports.export(
                workspace, workspace.plan.get(c.export, ExportStep), trained[c.step].student, metadata, traces
            )
            for c in workspace.plan.candidates[target.name]
        }
        for target in workspace.plan.targets
    }


def measure_all(
    workspace: Workspace,
    onnx: Mapping[str, Mapping[str, bytes]],
    torch_reference: TorchReference,
    evaluation: EvaluationSet,
    seconds: float,
) -> dict[str, Measured]:
    """Every target's candidates, measured there, each for at least so many seconds."""
    measured = {}
    for step in workspace.plan.of_kind(MeasureStep):
        name = step.runtime.name
        workspace.progress({"step": step.name})
        candidates = workspace.plan.candidates[name]
        of_torch = {c.name: torch_reference(c.step, "validation", numerics=c.numerics) for c in candidates}
        measured[name] = measure.run(
            step, candidates, onnx[name], evaluation, of_torch, workspace.store, seconds, workspace.runner
        )
        for sentence in measured[name].evaluation.left_out(name):
            workspace.note(sentence)
    return measured


def teacher_bytes(workspace: Workspace, trained: Mapping[str, Trained]) -> int:
    """The size of the teachers, all together; see ``exports.teacher_size``."""
    return sum(exports.teacher_size(trained[step.name].student) for step in workspace.plan.of_kind(TeachStep))


def choose_all(measured: Mapping[str, Measured], budget: Budget, *, gated: bool = True) -> dict[str, Choice]:
    """What ships on each target; validation decides. Not ``gated``: the wishes are only reported."""

    def chosen(on: Measured) -> Choice:
        teacher_value, reasons = on.evaluation.teacher_value("validation"), fallbacks.by_profile(on.profiles)
        return choose.choose(on.contenders(), budget, teacher_value, on.ratio, reasons, gated=gated)

    return {name: chosen(on) for name, on in measured.items()}
