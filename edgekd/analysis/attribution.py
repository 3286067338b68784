"""What each stage cost in accuracy and bought in size and latency: rows of a report, from what was measured anyway.

Pure: pieces of report.json in, rows out. Every compression pass is a candidate, so every row is a file that was scored
and timed on the target; the teacher alone is not timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekd.build.plan import Plan

Table = Mapping[str, Any]
VALUES = ("value_validation", "value_test")


def parents(plan: Plan, target: str) -> dict[str, str | None]:
    """Of each candidate of a target the one that its last step started from; None: the teacher.

    A step that gives no candidate (a part of a pass) is walked through.
    """
    of_step: dict[str, str] = {}
    for candidate in plan.candidates[target]:
        if not candidate.numerics.half:  # a cast of a step's network, not a step
            of_step.setdefault(candidate.step, candidate.name)
    found: dict[str, str | None] = {}
    for candidate in plan.candidates[target]:
        if candidate.numerics.half:
            found[candidate.name] = of_step.get(candidate.step)
            continue
        step = plan.steps[candidate.step].above
        while step is not None and step not in of_step:
            step = plan.steps[step].above
        found[candidate.name] = of_step[step] if step is not None else None
    return found


def rows(teacher: Table | None, target: Table, before: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """One target's stages: the teacher, each stage on the way to what ships, then those that were left out.

    Args:
        teacher: its row of the report's ``stages``; None where there is none.
        target: its table in the report's ``targets``.
        before: of each candidate the one that it started from; None: the teacher.

    Returns:
        Of each stage ``stage``, ``from`` (the stage that it is held against), ``on_the_way`` to what ships,
        ``ships``, both values and how far each moved (``delta_validation``, ``delta_test``), ``size_bytes`` and
        ``size_factor`` (times as small), ``p50_ms`` and ``p50_factor`` (times as fast); None where not measured.
    """
    known: dict[str | None, dict[str, Any]] = {}
    if teacher is not None:
        values = {key: teacher[key] for key in VALUES}
        known[None] = _row("teacher", None, {**values, "size_bytes": teacher["size_bytes"], "p50_ms": None}, None)
    candidates = {c["name"]: c for c in target["candidates"]}
    way = _way(target["shipped"], before)
    # A stage stands behind the one that it started from, so the longest way there comes last.
    depth = {name: len(_way(name, before)) for name in candidates}
    for name in sorted(candidates, key=lambda name: (depth[name], list(candidates).index(name))):
        candidate = candidates[name]
        measured = {key: candidate[key] for key in (*VALUES, "size_bytes")}
        measured["p50_ms"] = candidate["latency_ms"]["p50"]
        known[name] = _row(name, before[name] or "teacher", measured, known.get(before[name]))
        known[name] |= {"on_the_way": name in way, "ships": name == target["shipped"]}
    taken = [row for row in known.values() if row["on_the_way"]]
    return taken + [row for row in known.values() if not row["on_the_way"]]


def _way(name: str | None, before: Mapping[str, str | None]) -> list[str]:
    """A candidate and all that it came from."""
    found = []
    while name is not None:
        found.append(name)
        name = before.get(name)
    return found


def _row(name: str, start: str | None, measured: Table, before: Table | None) -> dict[str, Any]:
    def factor(key: str) -> float | None:
        return before[key] / measured[key] if before and before[key] and measured[key] else None

    moved = {f"delta_{key.removeprefix('value_')}": measured[key] - before[key] if before else None for key in VALUES}
    factors = {"size_factor": factor("size_bytes"), "p50_factor": factor("p50_ms")}
    return {"stage": name, "from": start, "on_the_way": True, "ships": False, **measured, **moved, **factors}
