"""The choice is a pure rule; these are its laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import pytest

from edgekd.decide.budget import resolved
from edgekd.decide.choose import TIE, Choice, Contender, choose, shortfalls
from edgekd.spec.recipe import Budget

Preference = Literal["latency", "size", "value"]
PREFERENCES: tuple[Preference, ...] = get_args(Preference)


def exact(p50: dict[str, float]) -> Callable[[str, str], tuple[float, float, float]]:
    """Ratios without noise."""

    def ratio(a: str, b: str) -> tuple[float, float, float]:
        r = p50[a] / p50[b]
        return r, r, r

    return ratio


def pick(*contenders: Contender, budget: Budget | None = None, teacher: float = 0.9, gated: bool = True) -> Choice:
    return choose(contenders, budget, teacher, exact({c.name: c.p50_ms for c in contenders}), gated=gated)


FP32 = Contender("fp32", 1000, 0.9, 1.0)


def test_a_clearly_faster_candidate_ships() -> None:
    assert pick(Contender("int8", 300, 0.9, 0.5), FP32).shipped == "int8"


def test_a_slower_candidate_never_ships_even_if_smaller() -> None:
    choice = pick(Contender("int8", 300, 0.9, 1.5), FP32)
    assert choice.shipped == "fp32"
    assert "slower than fp32: 1.50" in choice.verdicts["int8"]


def test_of_a_tie_the_smallest_ships() -> None:
    small, quick = Contender("int8", 300, 0.9, 0.508), Contender("fp32-pruned", 600, 0.9, 0.5)
    assert pick(small, quick, FP32).shipped == "int8"


def test_an_interval_that_holds_one_is_a_tie() -> None:
    contenders = [Contender("int8", 300, 0.9, 0.6), Contender("fp32-pruned", 600, 0.9, 0.5), FP32]
    noisy = choose(contenders, None, 0.9, lambda a, b: (1.2, 0.9, 1.4))
    assert noisy.shipped == "int8"


@pytest.mark.parametrize(
    ("int8", "ships"),
    [
        ((1.02, 1.05, 1.01, 1.04, 1.02, 0.99), "fp32"),  # slower in five of six processes
        ((1.02, 1.05, 1.01, 1.04, 0.98, 0.99), "int8"),
        ((1.02, 1.05), "int8"),  # that may be chance
    ],
)
def test_what_is_slower_in_nearly_every_session_is_slower(int8: tuple[float, ...], ships: str) -> None:
    small, fp32 = Contender("int8", 300, 0.9, 1.02, None, int8), Contender("fp32", 1000, 0.9, 1.0, None, [1.0] * 6)
    choice = choose([small, fp32], None, 0.9, lambda a, b: (1.02, 0.99, 1.05))
    assert choice.shipped == ships
    assert ships == "int8" or choice.verdicts["int8"] == "slower than fp32 in 5 of 6 sessions: 1.02 x its time"


def test_int8_whose_vectors_point_elsewhere_does_not_ship() -> None:
    int8 = Contender("int8", 300, 0.9, 0.5, cosine=0.99)
    assert pick(int8, FP32, budget=Budget(min_cosine=0.99)).shipped == "int8"
    choice = pick(int8, FP32, budget=Budget(min_cosine=0.995))
    assert choice.shipped == "fp32" and "mean cosine 0.9900" in choice.verdicts["int8"]


def test_quick_reports_a_gate_and_ships_the_dense_one() -> None:
    wrong = Contender("fp32", 1000, 0.9, 1.0, parity="parity: differs")
    choice = pick(wrong, budget=Budget(), gated=False)
    assert choice.shipped == "fp32" and "parity: differs" in choice.reason
    assert pick(wrong, budget=Budget()).shipped is None


def test_what_is_preferred_holds_where_the_wishes_are_only_reported() -> None:
    small, budget = Contender("int8", 300, 0.5, 0.9), Budget(prefer="size")
    fast = Contender("fp32-pruned", 600, 0.9, 0.5)
    assert pick(small, fast, FP32, budget=budget, gated=False).shipped == "int8"
    assert pick(small, fast, FP32, budget=budget).shipped == "fp32-pruned"


def test_equal_sizes_go_by_the_targets_order() -> None:
    a, b = Contender("a", 300, 0.9, 0.5), Contender("b", 300, 0.9, 0.5)
    assert pick(a, b, FP32).shipped == "a"
    assert pick(b, a, FP32).shipped == "b"


def test_prefer_size_ships_the_smallest_inside_the_budget() -> None:
    small, quick = Contender("int8", 300, 0.9, 0.9), Contender("fp32-pruned", 600, 0.9, 0.3)
    assert pick(small, quick, FP32, budget=Budget(prefer="size")).shipped == "int8"
    assert pick(small, quick, FP32, budget=Budget(prefer="latency")).shipped == "fp32-pruned"


@pytest.mark.parametrize("prefer", ["size", "value", "latency"])
def test_whatever_is_preferred_what_is_slower_than_fp32_does_not_ship(prefer: Any) -> None:
    slow, budget = Contender("int8", 300, 0.95, 1.5), Budget(max_drop=0.5, prefer=prefer)
    choice = pick(slow, FP32, budget=budget)
    assert choice.shipped == "fp32"
    assert ("while fp32 is inside the budget that never ships" in choice.verdicts["int8"]) == (prefer != "latency")
    assert pick(slow, FP32, budget=budget.model_copy(update={"max_size_kb": 0.5})).shipped == "int8"


def test_parity_is_a_gate_without_a_budget_too() -> None:
    wrong = Contender("int8", 300, 0.9, 0.5, parity="parity: agrees on 40 %")
    assert pick(wrong, FP32).shipped == "fp32"


@pytest.mark.parametrize(
    ("budget", "word"),
    [(Budget(max_drop=0.01), "drop"), (Budget(max_latency_ms=0.1), "p50"), (Budget(max_size_kb=0.5), "kB")],
)
def test_a_missed_budget_ships_nothing_and_says_why(budget: Budget, word: str) -> None:
    choice = pick(Contender("fp32", 1000, 0.85, 1.0), budget=budget)
    assert choice.shipped is None
    assert word in choice.reason


def test_a_drop_of_exactly_the_limit_is_inside() -> None:
    assert shortfalls(Contender("fp32", 1, 0.98 - 0.01, 1.0), Budget(max_drop=0.01), 0.98) == []


def table(rng: np.random.Generator) -> tuple[list[Contender], Budget]:
    """A random target: candidates that tie, that miss parity or a wish, and wishes that few or none can meet."""
    names = ["fp32", *(f"c{i}" for i in range(rng.integers(0, 6)))]
    rng.shuffle(names)
    contenders = [
        Contender(
            name,
            int(rng.choice([300, 300, 500, 800, 1000])),
            float(rng.choice([0.80, 0.88, 0.895, 0.9, 0.91])),
            float(rng.choice([0.5, 0.51, 0.6, 1.0, 1.02, 2.0])),
            "parity: differs" if rng.random() < 0.15 else None,
        )
        for name in names
    ]

    def wish(*values: float) -> float | None:
        return None if rng.random() < 0.4 else float(rng.choice(values))

    budget = Budget(
        max_drop=wish(0.0, 0.01, 0.05),
        max_latency_ms=wish(0.505, 0.7, 1.5),
        max_size_kb=wish(0.4, 0.6, 0.9),
        prefer=PREFERENCES[int(rng.integers(3))],
    )
    return contenders, budget


def test_ten_thousand_random_targets() -> None:
    """What ships is inside the wishes whenever one candidate is, and never slower than another that may ship and is as
    good and as small."""
    rng, shipped_at_all = np.random.default_rng(0), 0
    for _ in range(10_000):
        contenders, budget = table(rng)
        choice = pick(*contenders, budget=budget)
        inside = [c for c in contenders if c.parity is None and not shortfalls(c, budget, 0.9)]
        assert (choice.shipped is not None) == bool(inside), (contenders, budget)
        assert set(choice.verdicts) == {c.name for c in contenders}
        if not inside:
            continue
        shipped_at_all += 1
        shipped = next(c for c in contenders if c.name == choice.shipped)
        assert shipped in inside
        for other in inside:
            as_good = other.value >= shipped.value and other.size_bytes <= shipped.size_bytes
            assert not (as_good and other.p50_ms < shipped.p50_ms), (contenders, budget, choice)
        dense = next(c for c in contenders if c.name == "fp32")
        assert dense not in inside or shipped.p50_ms <= dense.p50_ms
        if budget.prefer == "size":
            left = [c for c in inside if dense not in inside or c.p50_ms <= dense.p50_ms]
            assert shipped.size_bytes == min(c.size_bytes for c in left)
        if budget.prefer == "latency":
            assert shipped.p50_ms <= TIE * min(c.p50_ms for c in inside)
    assert 2_000 < shipped_at_all < 9_000, "some can be met, and some can't"


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_what_may_not_ship_bars_nothing(prefer: Preference) -> None:
    """fp32 is faster, and outside the wish: int8 inside every stated wish ships."""
    int8, fp32 = Contender("int8", 7_900, 0.9, 1.3), Contender("fp32", 12_200, 0.9, 1.0)
    choice = pick(int8, fp32, budget=Budget(max_size_kb=8.0, prefer=prefer))
    assert choice.shipped == "int8" and "1.30 x the time of fp32, which misses the budget" in choice.reason
    assert pick(int8, fp32, budget=Budget(max_size_kb=20.0, prefer=prefer)).shipped == "fp32"
    broken = Contender("fp32", 1_000, 0.9, 1.0, parity="parity: differs")
    told = pick(int8, broken, budget=Budget(prefer=prefer))
    assert told.shipped == "int8" and "1.30 x the time of fp32, which is not at parity" in told.reason


def test_a_dense_one_that_ties_inside_the_budget_is_not_said_to_miss_it() -> None:
    int8 = Contender("int8", 300, 0.9, 1.02)
    choice = choose([int8, FP32], Budget(max_size_kb=2.0), 0.9, lambda a, b: (0.98, 0.95, 1.02))
    assert choice.shipped == "int8" and "misses" not in choice.reason and "0.98 x faster than fp32" in choice.reason


def test_a_drop_of_a_metric_below_zero_is_a_drop() -> None:
    """A teacher that is held against itself has 0, and minus the squared error of the others is below it."""
    near, far = Contender("int8", 300, -0.02, 0.5), Contender("fp32", 1000, -0.001, 1.0)
    assert shortfalls(near, Budget(max_drop=0.01), 0.0) == ["drop 0.0200 exceeds max_drop 0.01"]
    assert pick(near, far, budget=Budget(max_drop=0.01), teacher=0.0).shipped == "fp32"
    assert pick(near, far, budget=Budget(max_drop=0.02), teacher=0.0).shipped == "int8"
    assert not shortfalls(near, Budget(max_drop=0.0), -0.02), "no worse than its teacher"


def test_by_value_the_best_inside_the_size_ships() -> None:
    small, best, large = Contender("int8-2", 200, 0.86, 0.4), Contender("int8", 300, 0.88, 0.6), FP32
    budget = resolved(Budget(max_drop=0.1, max_size_share=0.1, prefer="value"), teacher_bytes=4000)
    choice = pick(small, best, large, budget=budget)
    assert choice.shipped == "int8" and "the best inside the budget" in choice.reason
    assert "0.0200 below the best" in choice.verdicts["int8-2"] and "exceeds max_size_kb 0.4" in choice.verdicts["fp32"]
