"""Thresholds of anomalies: how often normal samples reach one, counted and over draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekd.base import false_alarms
from edgekd.base.errors import DataError

SCORES = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-100, 100, width=32))


@settings(deadline=None)
@given(SCORES, st.floats(0.01, 0.99))
def test_no_more_normal_samples_are_alarms_than_are_allowed(scores: np.ndarray, rate: float) -> None:
    if math.floor(rate * (len(scores) + 1) + 1e-9) < 1:
        with pytest.raises(DataError, match="too few normal samples"):
            false_alarms.threshold(scores, rate, "v")
        return
    cut = false_alarms.threshold(scores, rate, "v")
    assert np.float32(cut) == cut, "what a float32 score is compared with"
    alarms = int((scores >= np.float32(cut)).sum())
    most = false_alarms.allowed(len(scores), rate, "v")
    assert alarms <= most and (1 + most) / (len(scores) + 1) <= rate + 1e-9
    if len(np.unique(scores)) == len(scores):
        assert alarms == most, "and no fewer where no two are equal"
    assert false_alarms.threshold(np.random.default_rng(0).permutation(scores), rate, "v") == cut


def test_between_two_scores_it_stands_in_the_middle() -> None:
    scores = np.arange(39, dtype=np.float32)
    assert false_alarms.threshold(scores, 0.05, "v") == 37.5
    assert false_alarms.threshold(scores[:19], 0.05, "v") == float(np.nextafter(np.float32(18), np.float32(99)))
    equal = np.ones(40, np.float32)
    assert false_alarms.threshold(equal, 0.5, "v") == float(np.nextafter(np.float32(1), np.float32(9)))


def test_a_new_normal_sample_is_an_alarm_at_most_so_often_over_draws() -> None:
    rng, rate, draws = np.random.default_rng(0), 0.1, 4000
    hits = 0
    for _ in range(draws):
        scores = rng.standard_normal(30).astype(np.float32)
        hits += scores[0] >= false_alarms.threshold(scores[1:], rate, "v")
    bound = rate + 3 * math.sqrt(rate * (1 - rate) / draws)
    assert 0.05 < hits / draws < bound, "expected are 2 of 29 allowed alarms: 3/30 = 0.1"


@pytest.mark.parametrize(("count", "rate", "least"), [(18, 0.05, 19), (0, 0.5, 1), (98, 0.01, 99)])
def test_too_few_say_how_many_are_needed(count: int, rate: float, least: int) -> None:
    with pytest.raises(DataError, match=rf"v: too few normal samples.*found {count}; allowed: at least {least} "):
        false_alarms.allowed(count, rate, "v")
    assert false_alarms.allowed(least, rate, "v") == 0
