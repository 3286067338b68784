"""Resamples and their intervals."""

from __future__ import annotations

import numpy as np

from edgekd.base import bootstrap


def test_resamples_are_seeded_of_full_size_and_fewer_where_they_are_dear() -> None:
    assert [len(bootstrap.draws(50)), len(bootstrap.draws(10**5, 10**4))] == [bootstrap.MOST, bootstrap.FEWEST]
    one, again, other = bootstrap.draws(50), bootstrap.draws(50), bootstrap.draws(50, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert all(len(draw) == 50 and draw.min() >= 0 and draw.max() < 50 for draw in one)


def test_nineteen_of_twenty_intervals_hold_the_mean() -> None:
    rng, held = np.random.default_rng(0), 0
    for seed in range(100):
        sample = rng.normal(size=80)
        low, high = bootstrap.interval([float(sample[draw].mean()) for draw in bootstrap.draws(80, seed=seed)])
        held += low <= 0.0 <= high
    assert 88 <= held <= 100


def test_groups_are_drawn_as_a_whole_in_their_order() -> None:
    groups = np.array([2, 0, 1, 0, 2, 2])
    for draw in bootstrap.draws(6, groups=groups):
        sizes = [1 if groups[i] == 1 else 2 if groups[i] == 0 else 3 for i in draw]
        parts, at = [], 0
        while at < len(draw):
            parts.append(draw[at : at + sizes[at]].tolist())
            at += sizes[at]
        assert len(parts) == 3 and all(part in ([1, 3], [2], [0, 4, 5]) for part in parts)
