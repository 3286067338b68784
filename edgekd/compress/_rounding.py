"""Rounding to a kernel's multiple that keeps the share that was asked for, over all groups together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekd.learn.student import Record


@dataclass(frozen=True)
class Wish:
    """How much of one group is to stay, and what may.

    Attributes:
        wanted: as asked, before rounding.
        low, high: what may stay at least and at most; both may, whatever the step.
        step: between them multiples of this may.
        cost: of one of them: what is asked of all groups together is asked of the sum of these.
    """

    wanted: float
    low: int
    high: int
    step: int = 1
    cost: float = 1.0

    def inside(self, share: float = 1.0) -> float:
        """A share of the wish, inside its limits."""
        return min(max(self.wanted * share, self.low), self.high)

    def between(self, share: float) -> tuple[float, int, int]:
        """A share of the wish inside its limits, and the nearest below and above it that may stay."""
        wanted = self.inside(share)
        # A share of a whole number falls short of it by float rounding: 0.7 x 10 is 6.999...
        below = self.high if wanted >= self.high else max(self.low, int(wanted + 1e-4) // self.step * self.step)
        return wanted, below, min(self.high, (below // self.step + 1) * self.step)


def spread(wishes: Sequence[Wish]) -> list[int]:
    """Each wish rounded down or up, so that the sum of all comes nearest to what was asked (largest remainders first).

    Down alone takes up to a step too much of every group: 0.25 of 3 x 24 channels in eights took a third. Of two sums
    that are as near the smaller one is taken. What small groups can't lose, the others lose in their stead: half of 16,
    24, 40 and 80 channels in sixteens was 40 %.
    """
    share = _share(wishes)
    inside = [wish.between(share) for wish in wishes]
    kept = [below for _, below, _ in inside]
    remainders = [(wanted - below) / (above - below) if above > below else 0.0 for wanted, below, above in inside]
    missing = sum(wish.cost * (wanted - below) for wish, (wanted, below, _) in zip(wishes, inside, strict=True))
    for i in sorted(range(len(wishes)), key=lambda i: -remainders[i]):
        more = wishes[i].cost * (inside[i][2] - kept[i])
        if remainders[i] > 1e-9 and abs(missing - more) < abs(missing) - 1e-9:
            kept[i] = inside[i][2]
            missing -= more
    return kept


def _share(wishes: Sequence[Wish]) -> float:
    """Which share of each wish makes the sum as asked where some groups must keep more than is wanted of them."""
    total = sum(wish.cost * wish.wanted for wish in wishes)
    low, high = 0.0, 1.0
    if sum(wish.cost * wish.inside() for wish in wishes) <= total + 1e-6:
        return high
    for _ in range(50):
        middle = (low + high) / 2
        if sum(wish.cost * wish.inside(middle) for wish in wishes) > total:
            high = middle
        else:
            low = middle
    return high


def told(
    unit: str,
    before: Mapping[str, float],
    kept: Mapping[str, float],
    wanted: Mapping[str, float],
    whole: Mapping[str, str],
) -> Record:
    """What a pass's record says of how much it took, for log and report.

    Args:
        unit: what is counted.
        before, kept: how much each group had, and has.
        wanted: how much it was to keep before rounding; none where each group is not told by itself.
        whole: why other groups lost nothing.

    Returns:
        ``unit``, ``taken`` (the share of all groups together), ``groups`` (``before``, ``asked`` or None, ``kept`` of
        each) and ``whole``.
    """
    had = sum(before.values())
    groups = {path: {"before": n, "asked": wanted.get(path), "kept": kept[path]} for path, n in before.items()}
    taken = 1 - sum(kept[path] for path in before) / had if had else 0.0
    return {"unit": unit, "taken": round(taken, 4), "groups": groups, "whole": dict(whole)}
