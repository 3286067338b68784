"""Parts of a network: the cheapest two sides, by a minimum cut (Ford and Fulkerson 1956), and what hangs together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping

LEAST = 1e-9  # of capacity that is left


class Joined:
    """Names in parts that grow together (disjoint sets)."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def part_of(self, name: str) -> str:
        """The one that stands for a name's part."""
        while (parent := self._parent[name]) != name:
            self._parent[name] = name = self._parent[parent]
        return name

    def join(self, a: str, b: str) -> None:
        """Put the parts of two names together."""
        self._parent[self.part_of(a)] = self.part_of(b)

    def parts(self) -> list[list[str]]:
        """All parts, in the order of the names."""
        parts: dict[str, list[str]] = {}
        for name in self._parent:
            parts.setdefault(self.part_of(name), []).append(name)
        return list(parts.values())


def cheapest(
    costs: Mapping[str, tuple[float, float]], edges: Iterable[tuple[str, str, float, float]]
) -> frozenset[str]:
    """The nodes of the second side, where the sum of all costs is least; of equals the fewest.

    Args:
        costs: of each node on the first side and on the second; ``math.inf``: never there.
        edges: (a, b, cost where a is on the first side and b on the second, cost where it is the other way round).
    """
    flow: dict[str, dict[str, float]] = {name: {} for name in ("<first>", "<second>", *costs)}

    def add(a: str, b: str, capacity: float) -> None:
        flow[a][b] = flow[a].get(b, 0.0) + capacity
        flow[b].setdefault(a, 0.0)

    for name, (first, second) in costs.items():
        least = min(first, second)
        add("<first>", name, second - least if second > least else 0.0)
        add(name, "<second>", first - least if first > least else 0.0)
    for a, b, forward, backward in edges:
        add(a, b, forward)
        add(b, a, backward)
    while (path := _path(flow, "<first>", "<second>")) is not None:
        most = min(flow[a][b] for a, b in path)
        for a, b in path:
            flow[a][b] -= most
            flow[b][a] += most if math.isfinite(most) else 0.0
    # What still reaches the second side goes there; all the rest, also what is free to choose, stays on the first.
    reached, left = {"<second>"}, deque(["<second>"])
    while left:
        node = left.popleft()
        for before in flow[node]:
            if before not in reached and flow[before][node] > LEAST:
                reached.add(before)
                left.append(before)
    return frozenset(reached & set(costs))


def _path(flow: Mapping[str, Mapping[str, float]], start: str, end: str) -> list[tuple[str, str]] | None:
    """The shortest way along which something can still flow."""
    before: dict[str, str] = {start: start}
    left = deque([start])
    while left and end not in before:
        node = left.popleft()
        for after, capacity in flow[node].items():
            if capacity > LEAST and after not in before:
                before[after] = node
                left.append(after)
    if end not in before:
        return None
    path = []
    while end != start:
        path.append((before[end], end))
        end = before[end]
    return path
