"""What each stage cost in accuracy and bought in size and latency: rows of a report, from what was measured anyway.

Pure: pieces of report.json in, rows out. Every compression pass is a candidate, so every row is a file that was scored
and timed on the target; the teacher alone is not timed.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekd.build.plan import Plan
from edgekd.document.candidate import Candidate
from edgekd.document.details import Row
from edgekd.document.report import Stage, Target


def parents(plan: Plan, target: str) -> dict[str, str | None]:
    """Of each candidate of a target the one that its last step started from; None: the teacher.

    A step that gives no candidate (a part of a pass) is walked through.
    """
    of_step: dict[str, str] = {}
    for candidate in plan.candidates[target]:
        if not candidate.numerics.half:  # a cast of a step's network, not a step
            of_step.setdefault(candidate.step, candidate.name)
    parent_of: dict[str, str | None] = {}
    for candidate in plan.candidates[target]:
        if candidate.numerics.half:
            parent_of[candidate.name] = of_step.get(candidate.step)
            continue
        step = plan.steps[candidate.step].above
        while step is not None and step not in of_step:
            step = plan.steps[step].above
        parent_of[candidate.name] = of_step[step] if step is not None else None
    return parent_of


def rows(teacher: Stage | None, target: Target, before: Mapping[str, str | None]) -> list[Row]:
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
    known: dict[str | None, Row] = {}
    if teacher is not None:
        known[None] = _row("teacher", None, teacher, None, None)
    candidates = {c["name"]: c for c in target["candidates"]}
    way = _way(target["shipped"], before)
    # A stage stands behind the one that it started from, so the longest way there comes last.
    depth = {name: len(_way(name, before)) for name in candidates}
    for name in sorted(candidates, key=lambda name: (depth[name], list(candidates).index(name))):
        candidate, start = candidates[name], before[name]
        known[name] = _row(name, start or "teacher", candidate, candidate["latency_ms"]["p50"], known.get(start))
        known[name] |= {"on_the_way": name in way, "ships": name == target["shipped"]}
    taken = [row for row in known.values() if row["on_the_way"]]
    return taken + [row for row in known.values() if not row["on_the_way"]]


def _way(name: str | None, before: Mapping[str, str | None]) -> list[str]:
    """A candidate and all that it came from."""
    lineage = []
    while name is not None:
        lineage.append(name)
        name = before.get(name)
    return lineage


def _row(name: str, start: str | None, measured: Stage | Candidate, p50_ms: float | None, before: Row | None) -> Row:
    return {
        "stage": name,
        "from": start,
        "on_the_way": True,
        "ships": False,
        "value_validation": measured["value_validation"],
        "value_test": measured["value_test"],
        "size_bytes": measured["size_bytes"],
        "p50_ms": p50_ms,
        "delta_validation": measured["value_validation"] - before["value_validation"] if before else None,
        "delta_test": measured["value_test"] - before["value_test"] if before else None,
        "size_factor": _factor(before["size_bytes"], measured["size_bytes"]) if before else None,
        "p50_factor": _factor(before["p50_ms"], p50_ms) if before else None,
    }


def _factor(before: float | None, after: float | None) -> float | None:
    return before / after if before and after else None
