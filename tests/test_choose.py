"""The choice is a pure rule; these are its laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.choose import Choice, Contender, choose, resolved, shortfalls
from edgekd.recipe import Budget


def exact(p50: dict[str, float]):
    """Ratios without noise."""

    def ratio(a: str, b: str) -> tuple[float, float, float]:
        r = p50[a] / p50[b]
        return r, r, r

    return ratio


def pick(*contenders: Contender, budget: Budget | None = None, teacher: float = 0.9) -> Choice:
    return choose(contenders, budget, teacher, exact({c.name: c.p50_ms for c in contenders}))


FP32 = Contender("fp32", 1000, 0.9, 1.0)


def test_a_clearly_faster_candidate_ships() -> None:
    assert pick(Contender("int8", 300, 0.9, 0.5), FP32).shipped == "int8"


def test_a_slower_candidate_never_ships_even_if_smaller() -> None:
    choice = pick(Contender("int8", 300, 0.9, 1.5), FP32)
    assert choice.shipped == "fp32"
    assert "slower than fp32: 1.50" in choice.verdicts["int8"]


def test_of_a_tie_the_smallest_ships() -> None:
    small, quick = Contender("int8", 300, 0.9, 0.52), Contender("fp32-pruned", 600, 0.9, 0.5)
    assert pick(small, quick, FP32).shipped == "int8"


def test_an_interval_that_holds_one_is_a_tie() -> None:
    contenders = [Contender("int8", 300, 0.9, 0.6), Contender("fp32-pruned", 600, 0.9, 0.5), FP32]
    noisy = choose(contenders, None, 0.9, lambda a, b: (1.2, 0.9, 1.4))
    assert noisy.shipped == "int8"


def test_quick_reports_a_gate_and_ships_the_dense_one() -> None:
    wrong = Contender("fp32", 1000, 0.9, 1.0, parity="parity: differs")
    choice = pick(wrong)
    assert choice.shipped == "fp32" and "parity: differs" in choice.reason
    assert pick(wrong, budget=Budget()).shipped is None


def test_equal_sizes_go_by_the_targets_order() -> None:
    a, b = Contender("a", 300, 0.9, 0.5), Contender("b", 300, 0.9, 0.5)
    assert pick(a, b, FP32).shipped == "a"
    assert pick(b, a, FP32).shipped == "b"


def test_prefer_size_ships_the_smallest_inside_the_budget() -> None:
    small, quick = Contender("int8", 300, 0.9, 0.9), Contender("fp32-pruned", 600, 0.9, 0.3)
    assert pick(small, quick, FP32, budget=Budget(prefer="size")).shipped == "int8"
    assert pick(small, quick, FP32, budget=Budget(prefer="latency")).shipped == "fp32-pruned"


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


contender_lists = st.lists(
    st.tuples(st.integers(1, 50), st.sampled_from([0.8, 0.895, 0.9]), st.integers(1, 40)), min_size=0, max_size=4
)


@given(contender_lists, st.sampled_from(["latency", "size"]))
def test_what_ships_is_inside_the_budget_and_not_slower(rows: list[tuple[int, float, int]], prefer: str) -> None:
    contenders = [Contender(f"c{i}", size, value, ms / 10) for i, (size, value, ms) in enumerate(rows)]
    contenders.append(Contender("fp32", 60, 0.9, 2.0))
    budget = Budget(prefer=prefer)
    choice = pick(*contenders, budget=budget)
    shipped = next(c for c in contenders if c.name == choice.shipped)
    assert not shortfalls(shipped, budget, 0.9)
    assert shipped.p50_ms <= 2.0
    assert set(choice.verdicts) == {c.name for c in contenders}
    eligible = [c for c in contenders if not shortfalls(c, budget, 0.9) and c.p50_ms <= 2.0]
    if prefer == "size":
        assert shipped.size_bytes == min(c.size_bytes for c in eligible)
    else:
        assert shipped.p50_ms <= 1.05 * min(c.p50_ms for c in eligible)


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
