"""How many channels each group keeps so that a network is as fast as wanted, at the least importance lost.

The target's clock says what a group's channels cost, by variants of the network where only that group is narrower.
From then on a choice is arithmetic: channels go in the order of importance lost for each millisecond saved, over steps
wide enough to reach the next stair of the kernels (the lower convex hull of each group's table; latency tables: Yang
et al. 2018, arXiv:1804.03230). What groups cost together is not the sum of what each costs alone, so that how far to go
along that order is found with the clock again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from edgekd.base import units
from edgekd.base.errors import ExportError
from edgekd.compress._base import Clock
from edgekd.compress._channels.pruning import Group
from edgekd.learn.student import Student

Widths = dict[str, int]  # channels that stay, by group
Costs = dict[str, dict[int, float]]  # milliseconds of the whole network, by group and how many of its channels stay
Cut = Callable[[Widths], Student]

POINTS = (0.75, 0.5, 0.25)  # shares of a group's channels that are timed; between them lie straight lines
NOISE = 0.005  # of the dense latency: what a group saves must be more than this to count
CLOSE = 0.97  # of the goal: near enough
AT_ONCE = 6  # shapes that are timed in turns in one round
ROUNDS = 4


def costs(
    student: Student, groups: Sequence[Group], allowed: Mapping[str, Sequence[int]], clock: Clock, cut: Cut
) -> Costs:
    """Time the network with each group alone cut to some of its allowed widths, all of them in turns.

    Groups whose layers are alike (kinds, sizes, strides, maps) are timed once.

    Args:
        allowed: rising channel counts of each group, the last is its own.
    """
    first = {group.alike: group for group in reversed(groups)}
    wanted = {
        group.path: sorted({_nearest(allowed[group.path], group.size * point) for point in POINTS} - {group.size})
        for group in first.values()
    }
    variants = [(path, kept) for path, widths in wanted.items() for kept in widths]
    dense, *took = clock([student, *(cut({path: kept}) for path, kept in variants)])
    measured: Costs = {path: {} for path in wanted}
    for (path, kept), ms in zip(variants, took, strict=True):
        measured[path][kept] = ms
    return {group.path: {**measured[first[group.alike].path], group.size: dense} for group in groups}


def order(groups: Sequence[Group], allowed: Mapping[str, Sequence[int]], table: Costs) -> list[Widths]:
    """From the network as it is to the narrowest: each differs from the one before in one group.

    What saves nothing by itself comes last, by importance: only together with others may it save something.
    """
    moves: list[tuple[float, float, int, int]] = []
    for number, group in enumerate(groups):
        widths, measured = list(allowed[group.path]), table[group.path]
        dense = measured[group.size]
        ms = np.interp(widths, sorted(measured), [measured[kept] for kept in sorted(measured)])
        lost = np.array([group.lost(kept) for kept in widths])
        at = len(widths) - 1
        while at and dense - min(measured.values()) > NOISE * dense:
            saved = ms[at] - ms[:at]
            price = np.where(saved > 0, (lost[:at] - lost[at]) / np.where(saved > 0, saved, 1.0), np.inf)
            best = int(np.argmin(price))
            if price[best] == np.inf:
                break
            moves.append((float(price[best]), 0.0, number, widths[best]))
            at = best
        moves += [(np.inf, float(lost[i]), number, widths[i]) for i in range(at)]
    now = {group.path: group.size for group in groups}
    states = [now]
    for _, _, number, kept in sorted(moves, key=lambda move: (*move[:3], -move[3])):
        now = {**now, groups[number].path: kept}
        states.append(now)
    return states


def fit(
    student: Student, states: Sequence[Widths], share: float, clock: Clock, cut: Cut, where: str
) -> tuple[Widths, float, float]:
    """The first of the states that is fast enough, found by timing a few at once, and again between two of those.

    Args:
        states: from the network as it is, faster and faster.
        share: of the first one's latency that is wanted.
        where: the key that says so.

    Returns:
        The state, and the milliseconds of the first and of that one.

    Raises:
        ExportError: even the last is too slow.
    """
    low, high = 0, len(states) - 1
    known: dict[int, float] = {}
    for _ in range(ROUNDS):
        picks = sorted({round(i) for i in np.linspace(low, high, AT_ONCE + 1)} | {0})
        known.update(zip(picks, clock([cut(states[i]) if i else student for i in picks]), strict=True))
        goal = share * known[0]
        fast = [i for i in sorted(known) if i and known[i] <= goal]
        if not fast:
            raise ExportError(
                "can't be made so fast",
                where=where,
                found="{} of {} wanted, {} reached".format(*map(units.in_ms, (goal, known[0], min(known.values())))),
            )
        high = fast[0]
        low = max(i for i in known if i < high)
        if high - low <= 1 or known[high] >= CLOSE * goal:
            break
    return states[high], known[0], known[high]


def distinct(states: Sequence[Widths]) -> list[Widths]:
    """Without those that are the same as the one before."""
    return [states[0], *(after for before, after in pairwise(states) if after != before)]


def _nearest(allowed: Sequence[int], wanted: float) -> int:
    return min(allowed, key=lambda kept: abs(kept - wanted))
