"""A plan as plain data: what a build would do, what is done already, and what the rest costs."""

from __future__ import annotations

from collections.abc import Sequence

from edgekd.build import measure, rehearsal
from edgekd.build import request as requests
from edgekd.build.outputs import cached, policy
from edgekd.build.plan import DistilStep, MeasureStep, Step, TeachStep
from edgekd.build.request import BuildRequest
from edgekd.build.workspace import Workspace
from edgekd.document.commands import Plan, PlanStep


def describe(request: BuildRequest, workspace: Workspace, besides: Sequence[Step] = ()) -> Plan:
    """Every step of an order with its key, its cost, and whether it is in the cache; nothing is trained.

    Args:
        besides: steps beside the student, at its depth, which the plan does not hold.
    """
    request, plan = requests.identified(request, seen=True), workspace.plan
    rehearsed = rehearsal.known(plan, request.store, workspace.runner.facts()["key"])
    rates, sentences = ({}, {}) if rehearsed is None else (rehearsed["seconds_per_sample"], rehearsed.get("taken", {}))
    rows: list[PlanStep] = []
    tree = list(plan.walk())
    place, depth = next((i, depth) for i, (depth, step) in enumerate(tree) if step.name == "student")
    tree[place:place] = [(depth, step) for step in besides]
    for depth, step in tree:
        rate = rates.get("student" if isinstance(step, DistilStep) else step.name)
        row: PlanStep = {
            "name": step.name,
            "depth": depth,
            "key": step.key,
            "targets": list(step.targets),
            "epochs": plan.epochs(step),
            "samples": plan.samples,
            "seconds": None if rate is None else rate * plan.cost(step),
            "cached": is_cached(workspace, step),
        }
        if sentence := sentences.get(step.name):
            row["taken"] = sentence
        if isinstance(step, TeachStep) and workspace.recipe.teacher_outputs.policy != "recompute":
            row["outputs"] = _outputs(workspace, step.name)
        rows.append(row)
    return {
        "name": request.recipe.name,
        "targets": [t.name for t in request.targets],
        "identity": request.identity,
        "steps": rows,
    }


def _outputs(workspace: Workspace, name: str) -> str:
    """What is kept of a teacher's answers."""
    feed, source = workspace.feed_of(name), workspace.sources.get(name)
    sizes = tuple(workspace.heads_of(name).values())
    readings = policy.readings(workspace.plan, feed.views)
    sees_views = source is None or source.sees_views
    return cached.size_note(name, feed, sizes, workspace.recipe.teacher_outputs, readings, sees_views)


def is_cached(workspace: Workspace, step: Step) -> bool:
    """Whether a build would find the result of a step. A measurement also depends on the machine and on the files."""
    if not isinstance(step, MeasureStep):
        return workspace.store.has(step.key)
    candidates = workspace.plan.candidates[step.runtime.name]
    exports = {c.name: workspace.plan.steps[c.export].key for c in candidates}
    onnx = {name: workspace.store.get(key, ("model.onnx",)) for name, key in exports.items()}
    if not all(onnx.values()):
        return False
    files = measure.lower_all(
        step.runtime, {name: exported["model.onnx"] for name, exported in onnx.items() if exported}
    )
    return workspace.store.has(measure.stored_key(step, files, workspace.runner))
