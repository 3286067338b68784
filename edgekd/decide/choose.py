"""Which candidate ships on a target: a pure rule over what was measured there.

Only what may itself ship can bar another. Among the candidates inside the budget, at parity, and not slower than dense
fp32 (where that one is inside the budget, too; clearly, or in nearly every session), those tie that are less than 2 %
slower than the fastest or whose ratio's 95 % interval holds 1; of the tie the smallest file ships (equal: the target's
order), but never one that is clearly slower than another that is as good and as small. So noise decides nothing, and
two builds choose alike. With ``prefer = "size"`` the smallest of them all ships.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from edgekd.base import units
from edgekd.decide.budget import SAME, by_wish, unmet
from edgekd.document import report as documents
from edgekd.spec.recipe import Budget

TIE = 1.02  # what the place of a session's memory moves its p50 by
SESSIONS = 6  # of timing, where it is not clear which of two is faster
ABOUT = {"max_drop": "answers", "max_latency_ms": "latency", "max_size_kb": "size", "min_cosine": "answers"}
IN_WORDS = {
    "max_drop": "drop {found} exceeds max_drop {most:g}",
    "max_latency_ms": "p50 {found} exceeds max_latency_ms {most:g}",
    "max_size_kb": "{found} exceeds max_size_kb {most:g}",
    "min_cosine": "mean cosine {found} to the fp32 file's vectors is below min_cosine {most:g}",
}
WRITTEN: Mapping[str, Callable[[float], str]] = {
    "max_drop": "{:.4f}".format,
    "max_latency_ms": units.in_ms,
    "max_size_kb": lambda kilobytes: units.in_kb(1000 * kilobytes),
    "min_cosine": "{:.4f}".format,
}
Ratio = tuple[float, float, float]
Reasons = Callable[[str, str, Collection[str]], str]


@dataclass(frozen=True)
class Contender:
    """One measured candidate.

    Attributes:
        value: the metric on validation, in its own unit, on the exported file.
        p50_ms: median latency.
        parity: why the file does not agree with the torch model, or None where it does.
        sessions_ms: median latency in each session, those of all candidates in one order.
        cosine: of its vectors to those of the float file; None where it has none, or is that file.
    """

    name: str
    size_bytes: int
    value: float
    p50_ms: float
    parity: str | None = None
    sessions_ms: Sequence[float] = ()
    cosine: float | None = None

    def found(self, teacher_value: float) -> dict[str, float | None]:
        """What a budget's wishes are held against."""
        drop = teacher_value - self.value
        return by_wish(drop=drop, latency_ms=self.p50_ms, size_bytes=self.size_bytes, cosine=self.cosine)


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
    reasons: Reasons | None = None,
    *,
    gated: bool = True,
) -> Choice:
    """Apply the rule.

    Args:
        contenders: in the target's order of preference; one is named ``fp32``.
        budget: None where nothing is wished.
        teacher_value: the teacher's metric on validation.
        ratio: ``ratio(a, b)`` is p50 of a over p50 of b with its 95 % interval.
        reasons: ``reasons(refused, held against, in what)``: the reason in words that name operators, which is
            appended to the verdict; in what: of ``latency``, ``size`` and ``answers``.
        gated: False where the wishes are only reported (``--quick``); ``prefer`` holds, and fp32 ships if nothing else.
    """
    wishes = budget if gated else None

    def told(name: str, verdict: str, against: str, how: Collection[str]) -> str:
        return f"{verdict}; {reasons(name, against, how)}" if reasons else verdict

    prefer = "latency" if budget is None else budget.prefer
    dense, barred = _barred(contenders, wishes, teacher_value, prefer, ratio)
    left = [c for c in contenders if c.name not in barred]
    verdicts = {name: told(name, why, "fp32", how) for name, (why, how) in barred.items()}
    outside = frozenset(verdicts)
    if not left and wishes is None:  # a gate is only reported: the dense one goes into the bundle
        return Choice("fp32", f"nothing passed; fp32: {verdicts['fp32']}", verdicts, outside)
    if not left:
        reason = "; ".join(f"{name}: {why}" for name, why in verdicts.items())
        return Choice(None, f"nothing is inside the budget: {reason}", verdicts, outside)
    fastest = min(left, key=lambda c: c.p50_ms)
    best = max(contender.value for contender in left)
    tie = {
        "latency": [c for c in left if _ties(c, fastest, ratio)],
        "size": left,
        "value": [c for c in left if c.value >= best - SAME],
    }[prefer]
    winner = _undominated(min(tie, key=lambda c: (c.size_bytes, contenders.index(c))), left, ratio)
    for contender in left:
        if contender is not winner:
            refusal = _refusal(contender, contender in tie, winner, fastest, best, prefer, ratio)
            verdicts[contender.name] = told(contender.name, *refusal)
    verdicts[winner.name] = "ships"
    return Choice(
        winner.name, _reason(winner, fastest, left, _why_out(contenders, dense), prefer, ratio), verdicts, outside
    )


def shortfalls(contender: Contender, budget: Budget, teacher_value: float) -> list[str]:
    """Each wish of the budget that a candidate misses, in words."""
    return [why for why, _ in _missed(contender, budget, teacher_value)]


def _missed(contender: Contender, budget: Budget, teacher_value: float) -> list[tuple[str, str]]:
    """Each missed wish in words, and what it is about."""
    return [
        (IN_WORDS[wish].format(found=WRITTEN[wish](got), most=most), ABOUT[wish])
        for wish, (got, most) in unmet(budget, contender.found(teacher_value)).items()
    ]


def budget_record(
    contender: Contender, budget: Budget, teacher_value: float, drop_ci95: Sequence[float]
) -> documents.Budget:
    """The report's ``budget``: wanted, got, met."""
    got: documents.Got = {
        "drop": teacher_value - contender.value,
        "drop_ci95": list(drop_ci95),
        "latency_ms": contender.p50_ms,
        "size_kb": contender.size_bytes / 1000,
    }
    if contender.cosine is not None:
        got["cosine"] = contender.cosine
    return {"wanted": wanted(budget), "got": got, "met": not shortfalls(contender, budget, teacher_value)}


def wanted(budget: Budget) -> documents.Wanted:
    """A budget as documents have it."""
    return {
        "max_drop": budget.max_drop,
        "max_latency_ms": budget.max_latency_ms,
        "max_size_kb": budget.max_size_kb,
        "max_size_share": budget.max_size_share,
        "min_cosine": budget.min_cosine,
        "prefer": budget.prefer,
    }


def _barred(
    contenders: Sequence[Contender],
    wishes: Budget | None,
    teacher_value: float,
    prefer: str,
    ratio: Callable[[str, str], Ratio],
) -> tuple[Contender | None, dict[str, tuple[str, list[str]]]]:
    """Dense fp32 where it may ship; and of each candidate that may not: why in words, and what that is about."""
    excluded = {c.name: _excluded(c, wishes, teacher_value) for c in contenders}
    dense = next((c for c in contenders if c.name == "fp32" and excluded[c.name][0] is None), None)
    barred = {}
    for contender in contenders:
        why, how = excluded[contender.name]
        if why is None and dense is not None:
            why, how = _slower(contender, dense, ratio)
            if why and prefer != "latency":
                why += " (while fp32 is inside the budget that never ships: prefer chooses among the others)"
        if why:
            barred[contender.name] = why, how
    return dense, barred


def _excluded(contender: Contender, budget: Budget | None, teacher_value: float) -> tuple[str | None, list[str]]:
    """Why a candidate may not ship, and what that is about; None where it may."""
    if contender.parity is not None:
        return contender.parity, ["answers"]
    if budget is not None and (missed := _missed(contender, budget, teacher_value)):
        return ", ".join(why for why, _ in missed), [about for _, about in missed]
    return None, []


def _slower(contender: Contender, dense: Contender, ratio: Callable[[str, str], Ratio]) -> tuple[str | None, list[str]]:
    """Why a candidate is barred by a dense one that may ship.

    A process has a bias of its own, which no interval within it knows: what was slower in at least five of six is, too
    (chance says so of one in nine that are equal; one that takes 1.03 x the time is nearly always seen).
    """
    if contender is dense:
        return None, []
    middle, low, high = ratio(contender.name, dense.name)
    pairs = list(zip(contender.sessions_ms, dense.sessions_ms, strict=False))
    times = sum(ours > theirs for ours, theirs in pairs)
    if low > 1:
        return f"slower than fp32: {middle:.2f} x its time (95 % interval {low:.2f} to {high:.2f})", ["latency"]
    if len(pairs) >= SESSIONS and times >= len(pairs) - 1:
        return f"slower than fp32 in {times} of {len(pairs)} sessions: {middle:.2f} x its time", ["latency"]
    return None, []


def _refusal(
    contender: Contender,
    ties: bool,
    winner: Contender,
    fastest: Contender,
    best: float,
    prefer: str,
    ratio: Callable[[str, str], Ratio],
) -> tuple[str, str, list[str]]:
    """Why one that might ship does not; what it is held against, and in what."""
    if not ties and prefer != "latency":
        return f"{best - contender.value:.4f} below the best", "fp32", ["answers"]
    if ties and contender.size_bytes > winner.size_bytes:
        return f"{contender.size_bytes / winner.size_bytes:.2f} x the size of {winner.name}", winner.name, ["size"]
    other = winner if ties else fastest
    return f"{ratio(contender.name, other.name)[0]:.2f} x the time of {other.name}", other.name, ["latency"]


def _undominated(winner: Contender, left: Sequence[Contender], ratio: Callable[[str, str], Ratio]) -> Contender:
    """The fastest of those that are as good and as small as the winner, where that one is clearly slower."""
    faster = [
        c
        for c in left
        if c.value >= winner.value and c.size_bytes <= winner.size_bytes and ratio(winner.name, c.name)[1] > 1
    ]
    return min(faster, key=lambda c: c.p50_ms, default=winner)


def _ties(contender: Contender, fastest: Contender, ratio: Callable[[str, str], Ratio]) -> bool:
    if contender is fastest:
        return True
    middle, low, high = ratio(contender.name, fastest.name)
    return middle < TIE or low <= 1 <= high


def _why_out(contenders: Sequence[Contender], dense: Contender | None) -> str | None:
    """Why fp32 may not ship itself; None where it may."""
    if dense is not None:
        return None
    return "is not at parity" if any(c.name == "fp32" and c.parity for c in contenders) else "misses the budget"


def _reason(
    winner: Contender,
    fastest: Contender,
    left: Sequence[Contender],
    dense_out: str | None,
    prefer: str,
    ratio: Callable[[str, str], Ratio],
) -> str:
    """``dense_out``: why fp32 may not ship itself, in words; None where it may."""
    if len(left) == 1:
        text = "the only candidate left"
    elif prefer == "size":
        text = "the smallest inside the budget"
    elif prefer == "value":
        text = f"the best inside the budget ({winner.value:.4f})"
    elif winner is fastest:
        text = "the fastest"
    else:
        text = f"ties with {fastest.name}, the fastest, and is smaller"
    if winner.name != "fp32":
        middle, low, high = ratio("fp32", winner.name)
        if middle >= 1 or dense_out is None:
            text += f"; {middle:.2f} x faster than fp32 (95 % interval {low:.2f} to {high:.2f})"
        else:
            text += f"; {1 / middle:.2f} x the time of fp32, which {dense_out}"
    return text
