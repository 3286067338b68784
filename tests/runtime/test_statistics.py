"""Percentiles with a promise: the rule of MLPerf's load generator."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.runtime.statistics import early_stopping, tolerated


@pytest.mark.parametrize(("share", "least"), [(0.9, 64), (0.99, 662)])
def test_so_many_queries_are_the_least(share: float, least: int) -> None:
    assert tolerated(least - 1, share) == 0
    assert tolerated(least, share) == 1
    assert early_stopping(np.arange(least - 1), share) is None
    assert early_stopping(np.arange(least), share) == least - 1, "the largest"


def test_the_bound_holds_ninety_nine_times_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    true = 1e9 * float(np.quantile(rng.exponential(size=2_000_000), 0.9))
    bounds = [early_stopping((1e9 * rng.exponential(size=300)).astype(np.int64), 0.9) for _ in range(1000)]
    assert sum(bound is not None and bound >= true for bound in bounds) >= 980


def test_more_queries_are_closer() -> None:
    counts = [tolerated(n, 0.9) / n for n in (64, 200, 1000, 10_000)]
    assert counts == sorted(counts) and counts[-1] < 0.1


def test_order_does_not_matter() -> None:
    samples = np.random.default_rng(1).permutation(100)
    assert early_stopping(samples, 0.9) == early_stopping(np.sort(samples), 0.9)
