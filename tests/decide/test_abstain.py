"""The promise of sure answers holds, over many draws, as often as it says; its parts are the textbook's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.decide import abstain
from edgekd.decide.abstain import Answers


@given(count=st.integers(1, 60), rate=st.floats(0.001, 0.999), data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_tail_is_the_sum_of_its_terms(count: int, rate: float, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, count))
    terms = [math.comb(count, k) * rate**k * (1 - rate) ** (count - k) for k in range(errors + 1)]
    assert abstain.tail(errors, count, rate) == pytest.approx(min(1.0, math.fsum(terms)), rel=1e-9, abs=1e-300)


def test_the_tail_of_many_samples_does_not_underflow() -> None:
    assert abstain.tail(2_900, 100_000, 0.03) == pytest.approx(0.0322, abs=5e-4)
    assert abstain.tail(0, 100_000, 0.03) == pytest.approx(math.exp(100_000 * math.log1p(-0.03)), abs=1e-300)


@pytest.mark.parametrize(
    ("hits", "count", "bound"),
    # Clopper and Pearson's bounds at 95 % as tables have them: 0.05 ** (1 / n) where all hit.
    [(99, 99, 0.05 ** (1 / 99)), (10, 10, 0.7411), (9, 10, 0.6058), (10, 20, 0.3020), (0, 10, 0.0), (1, 10, 0.0051)],
)
def test_the_bound_is_clopper_and_pearsons(hits: int, count: int, bound: float) -> None:
    assert abstain.at_least(hits, count, 0.95) == pytest.approx(bound, abs=5e-5)


def drawn(rng: np.random.Generator, count: int) -> Answers:
    """Samples whose chance to agree rises with their certainty; without any threshold 0.93 agree."""
    certainty = rng.normal(size=count)
    return Answers(certainty, rng.random(count) < chance(certainty))


def chance(certainty: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(4 + 2 * certainty))))


def test_the_promise_is_broken_as_seldom_as_it_says() -> None:
    """Of 400 draws at most 5 % and what their number may add by chance: 28 (its 97.5 % quantile)."""
    rng, broken, found = np.random.default_rng(0), 0, []
    falling = -np.sort(-np.random.default_rng(99).normal(size=200_000))
    shares = chance(falling).cumsum() / np.arange(1, len(falling) + 1)  # of those from each one on, by the chances
    for _ in range(400):
        least = abstain.threshold([drawn(rng, 300)], [drawn(rng, 600)], 0.97, 0.95)
        if least is not None:
            found.append(least)
            broken += bool(shares[np.searchsorted(-falling, -least)] < 0.97)
    assert broken <= 28
    assert len(found) >= 300 and np.mean(np.array(found) < 0.5) > 0.9  # and it does tell most answers sure


def test_runtimes_are_all_held_to_it() -> None:
    rng = np.random.default_rng(1)
    one, other = drawn(rng, 3_000), drawn(rng, 6_000)
    wrong = Answers(other.certainty, other.agrees & (rng.random(6_000) < 0.9))
    assert abstain.threshold([one], [other], 0.97, 0.95) is not None
    assert abstain.threshold([one, one], [other, wrong], 0.97, 0.95) is None


def test_where_nothing_can_be_shown_nothing_is_sure() -> None:
    few, none = Answers(np.arange(20.0), np.ones(20, bool)), Answers(np.zeros(0), np.zeros(0, bool))
    assert abstain.threshold([few], [few], 0.97, 0.95) is None  # 99 without an error are the fewest
    assert abstain.threshold([none], [few], 0.97, 0.95) is None
    assert abstain.threshold([few], [none], 0.97, 0.95) is None
    enough = Answers(np.arange(120.0), np.ones(120, bool))
    assert abstain.threshold([enough], [enough], 0.97, 0.95) is not None


def test_scores_that_are_too_large_are_cooled_by_as_much() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2_000, 4))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    right = (shares.cumsum(axis=1) > rng.random((2_000, 1))).argmax(axis=1)
    assert abstain.temperature([3 * scores], [right]) == pytest.approx(3, rel=0.1)
    assert abstain.temperature([scores, 3 * scores], [right, right]) == pytest.approx(2, rel=0.3)
    all_right = np.eye(4)[rng.integers(0, 4, 50)]
    assert math.isfinite(abstain.temperature([all_right], [all_right.argmax(axis=1)]))


@given(high=st.lists(st.integers(0, 5), max_size=9), low=st.lists(st.integers(0, 5), max_size=9))
def test_the_area_counts_pairs(high: list[int], low: list[int]) -> None:
    pairs = [(a > b) + 0.5 * (a == b) for a in high for b in low]
    wanted = sum(pairs) / len(pairs) if pairs else 0.5
    assert abstain.auroc(np.array(high, float), np.array(low, float)) == pytest.approx(wanted)
