"""Which candidate ships on a target: a pure rule over what was measured there.

Among the candidates inside the budget, at parity, and not clearly slower than dense fp32, those tie that are less than
5 % slower than the fastest or whose ratio's 95 % interval holds 1; of the tie the smallest file ships (equal: the
target's order). So noise decides nothing, and two builds choose alike. With ``prefer = "size"`` the smallest of
them all ships.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekd.recipe import Budget

TIE = 1.05
SAME = 1e-9  # of two values
Ratio = tuple[float, float, float]
Because = Callable[[str, str, Collection[str]], str]


@dataclass(frozen=True)
class Contender:
    """One measured candidate.

    Attributes:
        value: the metric on validation, in its own unit, on the exported file.
        p50_ms: median latency.
        parity: why the file does not agree with the torch model, or None where it does.
    """

    name: str
    size_bytes: int
    value: float
    p50_ms: float
    parity: str | None = None


@dataclass(frozen=True)
class Choice:
    """What ships, and a verdict in words for every candidate; ``outside`` are those that the choice left out."""

    shipped: str | None
    reason: str
    verdicts: Mapping[str, str]
    outside: frozenset[str] = frozenset()


def choose(
    contenders: Sequence[Contender],
    budget: Budget | None,
    teacher_value: float,
    ratio: Callable[[str, str], Ratio],
    because: Because | None = None,
) -> Choice:
    """Apply the rule.

    Args:
        contenders: in the target's order of preference; one is named ``fp32``.
        budget: None where it is only reported (``--quick``).
        teacher_value: the teacher's metric on validation.
        ratio: ``ratio(a, b)`` is p50 of a over p50 of b with its 95 % interval.
        because: ``because(refused, held against, in what)``: the reason in words that name operators, which is
            appended to the verdict; in what: of ``latency``, ``size`` and ``answers``.
    """

    def told(name: str, verdict: str, against: str, how: Collection[str]) -> str:
        return f"{verdict}; {because(name, against, how)}" if because else verdict

    verdicts: dict[str, str] = {}
    left: list[Contender] = []
    for contender in contenders:
        why, how = _excluded(contender, budget, teacher_value, ratio)
        if why:
            verdicts[contender.name] = told(contender.name, why, "fp32", how)
        else:
            left.append(contender)
    outside = frozenset(verdicts)
    if not left and budget is None:  # a gate is only reported: the dense one goes into the bundle
        dense = next(c for c in contenders if c.name == "fp32")
        return Choice(dense.name, f"nothing passed; {dense.name}: {verdicts[dense.name]}", verdicts, outside)
    if not left:
        reason = "; ".join(f"{name}: {why}" for name, why in verdicts.items())
        return Choice(None, f"nothing is inside the budget: {reason}", verdicts, outside)
    fastest = min(left, key=lambda c: c.p50_ms)
    prefer = "latency" if budget is None else budget.prefer
    best = max(contender.value for contender in left)
    tie = {
        "latency": [c for c in left if _ties(c, fastest, ratio)],
        "size": left,
        "value": [c for c in left if c.value >= best - SAME],
    }[prefer]
    for contender in left:
        if contender not in tie:
            slower = f"{ratio(contender.name, fastest.name)[0]:.2f} x the time of {fastest.name}"
            if prefer == "latency":
                verdicts[contender.name] = told(contender.name, slower, fastest.name, ["latency"])
            else:
                below = f"{best - contender.value:.4f} below the best"
                verdicts[contender.name] = told(contender.name, below, "fp32", ["answers"])
    winner = min(tie, key=lambda c: (c.size_bytes, contenders.index(c)))
    for contender in tie:
        if contender is not winner:
            larger = f"{contender.size_bytes / winner.size_bytes:.2f} x the size of {winner.name}"
            verdicts[contender.name] = told(contender.name, larger, winner.name, ["size"])
    verdicts[winner.name] = "ships"
    return Choice(winner.name, _reason(winner, fastest, len(left), budget, ratio), verdicts, outside)


def resolved(budget: Budget, teacher_bytes: int) -> Budget:
    """The budget with the share of the teacher's file as a size."""
    if budget.max_size_share is None:
        return budget
    most = budget.max_size_share * teacher_bytes / 1000
    return budget.model_copy(update={"max_size_kb": min(most, budget.max_size_kb or most)})


def shortfalls(contender: Contender, budget: Budget, teacher_value: float) -> list[str]:
    """Each wish of the budget that a candidate misses, in words."""
    return [why for why, _ in _missed(contender, budget, teacher_value)]


def _missed(contender: Contender, budget: Budget, teacher_value: float) -> list[tuple[str, str]]:
    """Each missed wish in words, and what it is about."""
    missed = []
    drop = teacher_value - contender.value
    # An accuracy is a ratio of counts: without the slack 0.98 - 0.97 would exceed 0.01.
    if budget.max_drop is not None and drop > budget.max_drop + SAME:
        missed.append((f"drop {drop:.4f} exceeds max_drop {budget.max_drop:g}", "answers"))
    if budget.max_latency_ms is not None and contender.p50_ms > budget.max_latency_ms:
        missed.append((f"p50 {contender.p50_ms:.3g} ms exceeds max_latency_ms {budget.max_latency_ms:g}", "latency"))
    if budget.max_size_kb is not None and contender.size_bytes > budget.max_size_kb * 1000:
        missed.append((f"{contender.size_bytes / 1000:.1f} kB exceeds max_size_kb {budget.max_size_kb:g}", "size"))
    return missed


def budget_record(contender: Contender, budget: Budget, teacher_value: float) -> dict[str, Any]:
    """The report's ``budget``: wanted, got, met."""
    return {
        "wanted": budget.model_dump(mode="json"),
        "got": {
            "drop": teacher_value - contender.value,
            "latency_ms": contender.p50_ms,
            "size_kb": contender.size_bytes / 1000,
        },
        "met": not shortfalls(contender, budget, teacher_value),
    }


def _excluded(
    contender: Contender, budget: Budget | None, teacher_value: float, ratio: Callable[[str, str], Ratio]
) -> tuple[str | None, list[str]]:
    """Why a candidate is out, and what that is about; None where it is in."""
    if contender.parity is not None:
        return contender.parity, ["answers"]
    if budget is not None and (missed := _missed(contender, budget, teacher_value)):
        return ", ".join(why for why, _ in missed), [about for _, about in missed]
    if contender.name != "fp32":
        middle, low, high = ratio(contender.name, "fp32")
        if low > 1:
            slower = f"slower than fp32: {middle:.2f} x its time (95 % interval {low:.2f} to {high:.2f})"
            return slower, ["latency"]
    return None, []


def _ties(contender: Contender, fastest: Contender, ratio: Callable[[str, str], Ratio]) -> bool:
    if contender is fastest:
        return True
    middle, low, high = ratio(contender.name, fastest.name)
    return middle < TIE or low <= 1 <= high


def _reason(
    winner: Contender, fastest: Contender, left: int, budget: Budget | None, ratio: Callable[[str, str], Ratio]
) -> str:
    if left == 1:
        text = "the only candidate left"
    elif budget is not None and budget.prefer == "size":
        text = "the smallest inside the budget"
    elif budget is not None and budget.prefer == "value":
        text = f"the best inside the budget ({winner.value:.4f})"
    elif winner is fastest:
        text = "the fastest"
    else:
        text = f"ties with {fastest.name}, the fastest, and is smaller"
    if winner.name != "fp32":
        middle, low, high = ratio("fp32", winner.name)
        text += f"; {middle:.2f} x faster than fp32 (95 % interval {low:.2f} to {high:.2f})"
    return text
