"""The channels of a network that can go: which positions of which parameters each unit is, and why others stay.

A unit is what can only go as a whole: positions of parameters that operators joined. Units that are alike in every
parameter (as many positions each) are a ``Family``: of these some go and others stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from edgekd.compress._channels.ledger import STAYS, Numbers
from edgekd.compress._channels.traced import OUTPUTS, Trace

Axis = tuple[str, int]  # of a parameter, by name


@dataclass(frozen=True)
class Family:
    """Units that are alike.

    Attributes:
        axis: the axis of a weight that makes them; it names the family.
        units: their numbers.
        positions: (units, n) of that axis, in order.
        places: of every parameter's axis that has some of them: (units, n) positions.
        reads: of these the axes along which a layer reads.
    """

    axis: Axis
    units: NDArray[np.int64]
    positions: NDArray[np.int64]
    places: Mapping[Axis, NDArray[np.int64]]
    reads: frozenset[Axis]

    def rows(self, axis: Axis, gone: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions along a parameter's axis that go with some units."""
        return np.sort(self.places[axis][gone].ravel())


@dataclass(frozen=True)
class Channels:
    """What a trace says of a network: its families, and why the channels that a weight makes stay, by its axis.

    Attributes:
        unit: of each number that of its unit.
        can_go: of each number whether its unit is one of a family's.
    """

    families: list[Family]
    whole: dict[Axis, str]
    unit: NDArray[np.int64]
    can_go: NDArray[np.bool_]


def of(trace: Trace) -> Channels:
    """Settle which axis of every block carries the channels, then gather the units."""
    while True:
        unit = _components(trace)
        if not _settled(trace, unit):
            break
    stays = unit[STAYS]
    places: dict[int, dict[Axis, list[int]]] = {}
    for name, axes in trace.parameters.items():
        for axis, numbers in enumerate(axes):
            for position, number in enumerate([] if numbers is None else unit[numbers].tolist()):
                if number != stays:
                    places.setdefault(number, {}).setdefault((name, axis), []).append(position)
    families: dict[tuple[tuple[Axis, int], ...], list[int]] = {}
    for number, by_axis in places.items():
        families.setdefault(tuple((axis, len(positions)) for axis, positions in by_axis.items()), []).append(number)
    prunable = []
    movable = np.zeros(trace.ledger.count, bool)
    for about, units in families.items():
        makers = sorted((axis for axis, _ in about if _makes(trace, axis)), key=lambda a: _writes(trace, a[0]) != a[1])
        if not makers or (not any(axis in trace.reads for axis, _ in about) and len(makers) < 2):
            continue
        where = {axis: np.array([places[u][axis] for u in units], np.int64) for axis, _ in about}
        reads = frozenset(axis for axis, _ in about if axis in trace.reads)
        movable[units] = True
        prunable.append(Family(makers[0], np.array(units), where[makers[0]], where, reads))
    return Channels(prunable, _whole(trace, unit, {family.axis for family in prunable}), unit, movable[unit])


def _components(trace: Trace) -> NDArray[np.int64]:
    stays = [(numbers, np.full_like(numbers, STAYS)) for numbers, _ in trace.ledger.stays]
    return _connected(trace.ledger.count, [*trace.ledger.pairs, *stays])


def _connected(count: int, pairs: Sequence[tuple[Numbers, Numbers]]) -> NDArray[np.int64]:
    """The group of each number, where pairs are in one."""
    if not pairs:
        return np.arange(count)
    rows, columns = (np.concatenate(side) for side in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), (count, count))
    unit: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return unit


def _settled(trace: Trace, unit: NDArray[np.int64]) -> bool:
    """Tie what is left over two axes of a block, so that its rows stay of one length: the last axis carries on.

    Returns whether anything was tied.
    """
    tied = False
    for numbers in trace.blocks:
        units = unit[numbers]
        carrying = [a for a in range(units.ndim) if not (units == np.take(units, [0], a)).all()]
        while len(carrying) > 1:
            trace.ledger.tie(numbers, carrying[0])
            numbers = np.take(numbers, [0], carrying.pop(0))
            tied = True
    return tied


def _makes(trace: Trace, axis: Axis) -> bool:
    """Whether channels are made along a parameter's axis: a weight of two or more axes that does not read there."""
    return len(trace.parameters[axis[0]]) > 1 and axis not in trace.reads


def _writes(trace: Trace, name: str) -> int | None:
    """The first axis of a weight along which nothing reads, where along another one something does."""
    reads = {axis for weight, axis in trace.reads if weight == name}
    if not reads:
        return None  # a table, such as an embedding
    free = [axis for axis, numbers in enumerate(trace.parameters[name]) if numbers is not None and axis not in reads]
    return free[0] if free else None


def _whole(trace: Trace, unit: NDArray[np.int64], used: set[Axis]) -> dict[Axis, str]:
    """Why the channels of the weights stay that no family is named after, without those of the outputs."""
    group = _connected(trace.ledger.count, trace.ledger.pairs)
    reasons: dict[int, str] = {}
    for numbers, text in trace.ledger.stays:
        for component in np.unique(group[numbers]).tolist():
            reasons.setdefault(component, text)
    why: dict[Axis, str] = {}
    for name in trace.parameters:
        at = _writes(trace, name)
        if at is None or len(trace.parameters[name]) < 2 or (name, at) in used:
            continue
        along = trace.parameters[name][at]
        if along is None or not (unit[along] == unit[STAYS]).any():
            continue
        texts = [reasons[component] for component in group[along].tolist() if component in reasons]
        if texts and OUTPUTS not in texts:
            why[name, at] = texts[0]
    return why
