"""The rules of a search: hopeless, promising, best."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.spec.recipe import Budget
from edgekd.tune import verdict
from edgekd.tune.verdict import Result, Shape

BUDGET = Budget(max_latency_ms=1.0, max_size_kb=100, max_drop=0.02)
RESULTS = st.lists(
    st.builds(
        lambda value, p50, size, met: (value / 10, p50 / 10, size * 1000, met),
        *[st.integers(1, 9)] * 3,
        st.booleans(),
    ),
    max_size=8,
).map(
    lambda rows: [
        Result(i, value, p50, size, 1 - value, {} if met else {"max_drop": 0.5 + i})
        for i, (value, p50, size, met) in enumerate(rows)
    ]
)


def test_hopeless_is_more_than_a_tenth_over_by_every_candidate() -> None:
    slow, large, fits = Shape(1.2, 50_000), Shape(0.5, 120_000), Shape(1.09, 109_000)
    assert verdict.hopeless({"a": {"x": fits}}, BUDGET) == {}
    assert set(verdict.hopeless({"a": {"x": slow}}, BUDGET)) == {"max_latency_ms"}
    assert set(verdict.hopeless({"a": {"x": slow, "y": large}}, BUDGET)) <= {"max_latency_ms", "max_size_kb"}
    assert verdict.hopeless({"a": {"x": slow, "y": large}}, BUDGET), "no candidate is fast and small at once"
    assert verdict.hopeless({"a": {"x": slow, "y": fits}}, BUDGET) == {}
    assert verdict.hopeless({"a": {"x": fits}, "b": {"x": slow}}, BUDGET), "every target counts"
    assert verdict.hopeless({"a": {"x": Shape(99.0, 10**9)}}, Budget(max_drop=0.1)) == {}


def test_a_budget_is_held_as_in_a_build() -> None:
    """A drop of 0.98 - 0.97 is 0.010000000000000009."""
    assert verdict.missed(Budget(max_drop=0.01), drop=0.98 - 0.97, latency_ms=1.0, size_bytes=1) == {}
    over = verdict.missed(BUDGET, drop=0.03, latency_ms=1.5, size_bytes=150_000)
    assert over == pytest.approx({"max_drop": 0.5, "max_latency_ms": 0.5, "max_size_kb": 0.5})
    near, far = (
        Result(0, 0.9, 1.1, 1, 0.0, {"max_latency_ms": 0.1}),
        Result(1, 0.9, 1.2, 1, 0.0, {"max_latency_ms": 0.2}),
    )
    assert verdict.nearest([far, near]) is near


def test_a_rung_compares_only_with_what_is_as_fast_and_small() -> None:
    mine = Shape(1.0, 100)
    better = [(0.9, Shape(0.9, 90))] * 6
    assert not verdict.promising(0.5, mine, better)
    assert verdict.promising(0.95, mine, better)
    assert verdict.promising(0.5, mine, better[:2]), "too few to tell"
    assert verdict.promising(0.5, mine, [(0.9, Shape(2.0, 90))] * 6), "they are slower"
    assert verdict.promising(0.5, mine, [(0.9, Shape(0.9, 200))] * 6), "they are larger"


@given(RESULTS)
def test_the_choice_is_inside_the_budget_and_on_its_front(results: list[Result]) -> None:
    for prefer in ("latency", "size", "value"):
        ranked = verdict.ranked(results, prefer)
        assert sorted(r.number for r in ranked) == [r.number for r in results if r.met]
    inside = [r for r in results if r.met]
    if inside:
        assert verdict.ranked(results, "value")[0].value == max(r.value for r in inside)
        assert verdict.ranked(results, "latency")[0].p50_ms <= min(r.p50_ms for r in inside) * verdict.TIE
        assert verdict.ranked(results, "size")[0].size_bytes <= min(r.size_bytes for r in inside) * verdict.TIE
    elif results:
        near = verdict.nearest(results)
        assert near is not None and near.number == 0, "made so that the first misses least"


@given(RESULTS)
def test_nothing_beats_what_is_on_the_front(results: list[Result]) -> None:
    front = verdict.front(results)
    assert bool(front) == bool(results)
    for a, b in itertools.permutations(front, 2):
        better = (a.value >= b.value, a.p50_ms <= b.p50_ms, a.size_bytes <= b.size_bytes)
        same = (a.value, a.p50_ms, a.size_bytes) == (b.value, b.p50_ms, b.size_bytes)
        assert same or not all(better)
    assert [r.p50_ms for r in front] == sorted(r.p50_ms for r in front)


def test_a_rung_too_low_for_the_drop_is_out_of_reach_once_others_told_what_is_gained_after_it() -> None:
    results = [Result(0, 0.90, 1.0, 1000, 0.02)]  # the teacher: 0.92; allowed is 0.90
    assert verdict.out_of_reach(0.83, [0.01, 0.05], results, BUDGET)
    assert not verdict.out_of_reach(0.84, [0.01, 0.05], results, BUDGET)
    assert not verdict.out_of_reach(0.79, [], results, BUDGET), "nobody knows yet"
    assert not verdict.out_of_reach(0.889, [-0.01], results, BUDGET), "a little is always possible"
    assert not verdict.out_of_reach(0.1, [0.01], results, Budget(max_drop=None, max_latency_ms=1.0))
