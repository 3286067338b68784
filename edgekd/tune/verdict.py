"""The search's rules, pure: what is hopeless, what is promising, what is best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edgekd.base import units
from edgekd.decide.budget import by_wish, unmet
from edgekd.document.tune import Kept, Ships
from edgekd.spec.recipe import Budget

Prefer = Literal["latency", "size", "value"]
SLACK = 1.1  # a shape's first timing is rough: one that is a tenth over may still fit
TIE = 1.05
KEEP = 1 / 3  # of the trials of a rung goes on (successive halving, Jamieson and Talwalkar 2016, arXiv:1502.07943)
FEW = 2  # rivals, up to which everything goes on
HOPE = 1.25  # a trial may gain so many times what others gained after the rung
LARGE_DROP = 0.01  # drops are held against at least this much: a limit of 0 has no tenth


@dataclass(frozen=True)
class Shape:
    """A candidate's shape before anything trains: milliseconds, and the bytes of its files."""

    latency_ms: float
    size_bytes: int


@dataclass(frozen=True)
class Result:
    """What a trial came to, over all targets: the worst of each.

    Attributes:
        number: of the trial.
        value: the metric on validation, on the exported file that would ship.
        drop: the teacher's value less this.
        missed: by wish, how far beyond it, as a share of it; met wishes are not in it.
        gate: why nothing may ship although every wish is met (parity), else empty.
        targets: for each what would ship: ``{candidate, value, p50_ms, size_bytes, reason}``.
    """

    number: int
    value: float
    p50_ms: float
    size_bytes: int
    drop: float
    missed: Mapping[str, float] = field(default_factory=dict)
    gate: str = ""
    targets: Mapping[str, Ships] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether it may ship."""
        return not self.missed and not self.gate

    @property
    def table(self) -> Kept:
        """As a study keeps it."""
        return {
            "number": self.number,
            "value": self.value,
            "p50_ms": self.p50_ms,
            "size_bytes": self.size_bytes,
            "drop": self.drop,
            "missed": dict(self.missed),
            "gate": self.gate,
            "targets": dict(self.targets),
        }


def missed(
    budget: Budget,
    *,
    drop: float | None = None,
    latency_ms: float,
    size_bytes: int,
    cosine: float | None = None,
) -> dict[str, float]:
    """By wish of a budget how far beyond it something is, as a share of the wish; without what is met."""
    over = unmet(budget, by_wish(drop=drop, latency_ms=latency_ms, size_bytes=size_bytes, cosine=cosine))
    least = {"max_drop": LARGE_DROP}
    return {
        wish: abs(measured - most) / (max(most, least.get(wish, 0.0)) or 1.0) for wish, (measured, most) in over.items()
    }


def hopeless(shapes: Mapping[str, Mapping[str, Shape]], budget: Budget) -> dict[str, float]:
    """What even the best candidate misses by more than a tenth on some target; empty where there is hope.

    Args:
        shapes: by target and candidate.
    """
    worst: dict[str, float] = {}
    for candidates in shapes.values():
        each = [missed(budget, latency_ms=s.latency_ms, size_bytes=s.size_bytes) for s in candidates.values()]
        best = min(each, key=lambda misses: (max(misses.values(), default=0.0) > SLACK - 1, sum(misses.values())))
        if max(best.values(), default=0.0) > SLACK - 1 and sum(best.values()) > sum(worst.values()):
            worst = best
    return worst


def smallest(shapes: Mapping[str, Mapping[str, Shape]]) -> Shape:
    """A recipe's place among its rivals: its fastest and its smallest candidate, on the worst target."""
    return Shape(
        max(min(s.latency_ms for s in candidates.values()) for candidates in shapes.values()),
        max(min(s.size_bytes for s in candidates.values()) for candidates in shapes.values()),
    )


def promising(value: float, shape: Shape, others: Sequence[tuple[float, Shape]]) -> bool:
    """Whether a trial goes on after a rung.

    It is held against those that are no slower and no larger than it: among them and itself it must be in the best
    third. One that is faster or smaller than the others has no rivals, and goes on.
    """
    rivals = [
        other
        for other, its in others
        if its.latency_ms <= shape.latency_ms * TIE and its.size_bytes <= shape.size_bytes * TIE
    ]
    if len(rivals) <= FEW:
        return True
    better = sum(other > value for other in rivals)
    return better < math.ceil((len(rivals) + 1) * KEEP)


def out_of_reach(value: float, gains: Sequence[float], results: Sequence[Result], budget: Budget) -> bool:
    """Whether a value at a rung is too low to come within the drop that is allowed, by what other trials gained."""
    if budget.max_drop is None or not gains:
        return False
    floor = results[0].value + results[0].drop - budget.max_drop
    return value + HOPE * max(*gains, LARGE_DROP) < floor


def ranked(results: Sequence[Result], prefer: Prefer) -> list[Result]:
    """Those that met the budget, best first: by what is preferred, and of those that tie in it (5 % of a latency or a
    size) by value; equal values by latency, size, and age."""
    left, ranking = [result for result in results if result.met], []
    while left:
        ranking.append(_best(left, prefer))
        left.remove(ranking[-1])
    return ranking


def _best(results: Sequence[Result], prefer: Prefer) -> Result:
    if prefer == "value":
        return min(results, key=lambda r: (-r.value, r.p50_ms, r.size_bytes, r.number))
    measure = {"latency": lambda r: r.p50_ms, "size": lambda r: float(r.size_bytes)}[prefer]
    least = min(measure(r) for r in results)
    tied = [r for r in results if measure(r) <= least * TIE]
    return min(tied, key=lambda r: (-r.value, r.p50_ms, r.size_bytes, r.number))


def nearest(results: Sequence[Result]) -> Result | None:
    """Of those that missed something the one that missed least in all."""
    return min(results, key=lambda r: (bool(r.gate), sum(r.missed.values()), r.number), default=None)


def front(results: Sequence[Result]) -> list[Result]:
    """Those that no other beats in value, latency and size at once, the fastest first (Pareto)."""

    def beats(a: Result, b: Result) -> bool:
        no_worse = a.value >= b.value and a.p50_ms <= b.p50_ms and a.size_bytes <= b.size_bytes
        return no_worse and (a.value, a.p50_ms, a.size_bytes) != (b.value, b.p50_ms, b.size_bytes)

    best = [r for r in results if not any(beats(other, r) for other in results)]
    return sorted(best, key=lambda r: (r.p50_ms, r.size_bytes, r.number))


def words(missed_: Mapping[str, float]) -> str:
    """What was missed, in words."""
    return ", ".join(f"{wish} by {units.significant(100 * beyond)} %" for wish, beyond in missed_.items())
