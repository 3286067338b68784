"""A plan as plain data: what a build would do, what is done already, and what the rest costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgekd.build import measure, plan, rehearsal, request, steps
from edgekd.build.request import Order


def describe(order: Order, bench: steps.Bench, besides: Sequence[plan.Step] = ()) -> dict[str, Any]:
    """Every step of an order with its key, its cost, and whether it is in the cache; nothing is trained.

    Args:
        besides: steps beside the student, at its depth, which the plan does not hold.
    """
    order = request.identified(order, seen=True)
    rehearsed = rehearsal.known(bench.plan, order.store, bench.runner.facts()["key"]) or {"seconds_per_sample": {}}
    rows, tree = [], list(bench.plan.walk())
    place, depth = next((i, depth) for i, (depth, step) in enumerate(tree) if step.name == "student")
    tree[place:place] = [(depth, step) for step in besides]
    for depth, step in tree:
        rate = rehearsed["seconds_per_sample"].get(step.kind if step.kind == "student" else step.name)
        rows.append(
            {
                "name": step.name,
                "depth": depth,
                "key": step.key,
                "targets": list(step.targets),
                "epochs": step.schedule.epochs if step.schedule else 0,
                "samples": bench.plan.samples,
                "seconds": None if rate is None else rate * bench.plan.cost(step),
                "cached": is_cached(bench, step),
                **({"taken": said} if (said := rehearsed.get("taken", {}).get(step.name)) else {}),
            }
        )
    return {
        "name": order.recipe.name,
        "targets": [t.name for t in order.targets],
        "identity": order.identity,
        "steps": rows,
    }


def is_cached(bench: steps.Bench, step: plan.Step) -> bool:
    """Whether a build would find the result of a step. A measurement also depends on the machine and on the files."""
    if step.kind != "measure":
        return bench.store.has(step.key)
    target = next(target for target in bench.plan.targets if target.name in step.targets)
    exports = {c.name: bench.plan.steps[c.export].key for c in bench.plan.candidates[target.name]}
    onnx = {name: bench.store.get(key, ("model.onnx",)) for name, key in exports.items()}
    if not all(onnx.values()):
        return False
    files = measure.lower_all(target, {name: found["model.onnx"] for name, found in onnx.items() if found})
    return bench.store.has(measure.stored_key(target, files, step.key, bench.runner))
