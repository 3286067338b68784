"""The cheapest two sides of a small network are those that trying all of them finds."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from edgekd.decide.cut import Joined, cheapest

Costs = dict[str, tuple[float, float]]
Edges = list[tuple[str, str, float, float]]


def cost(costs: Costs, edges: Edges, second: frozenset[str]) -> float:
    nodes = sum(pair[name in second] for name, pair in costs.items())
    crossing = [
        forward if b in second else backward for a, b, forward, backward in edges if (a in second) != (b in second)
    ]
    return nodes + sum(crossing)


@pytest.mark.parametrize("seed", range(40))
def test_no_other_two_sides_are_cheaper_and_none_as_cheap_gives_back_less(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(7)]
    costs: Costs = {name: (rng.randint(0, 9), rng.randint(0, 9)) for name in names}
    costs["n0"] = (math.inf, 1.0)
    pairs = [(a, b) for a, b in itertools.combinations(names, 2) if rng.random() < 0.4]
    edges: Edges = [(a, b, rng.randint(0, 4), rng.choice([0, 2, math.inf])) for a, b in pairs]
    sides = [frozenset(c) for size in range(8) for c in itertools.combinations(names, size)]
    least = min(cost(costs, edges, side) for side in sides)
    chosen = cheapest(costs, edges)
    assert cost(costs, edges, chosen) == pytest.approx(least)
    as_cheap = [side for side in sides if cost(costs, edges, side) == pytest.approx(least)]
    assert len(chosen) == min(map(len, as_cheap))


def test_parts_grow_together() -> None:
    joined = Joined("abcde")
    joined.join("a", "c")
    joined.join("e", "c")
    assert joined.parts() == [["a", "c", "e"], ["b"], ["d"]]
    assert joined.part_of("a") == joined.part_of("e") != joined.part_of("b")
