"""Which samples an epoch sees: each once, or each class as often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.learn import sampler
from edgekd.learn.feed import groups

RARE, ALL = np.repeat([0, 1, 2], [90, 9, 1]), np.ones(100, bool)


@given(seed=st.integers(0, 1000), counts=st.lists(st.integers(1, 60), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_balanced_epoch_has_each_class_as_often_and_each_of_its_samples(seed: int, counts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    order = sampler.balanced(labels, labels >= 0, np.random.default_rng(seed))
    assert len(order) == len(labels), "as many steps as without"
    by_class = np.bincount(labels[order], minlength=len(counts))
    assert np.abs(by_class - len(labels) / len(counts)).max() < 1 + 1e-9
    by_sample = np.bincount(order, minlength=len(labels))
    for one in range(len(counts)):
        assert np.ptp(by_sample[labels == one]) <= 1
    again = sampler.balanced(labels, labels >= 0, np.random.default_rng(seed))
    assert np.array_equal(order, again)


def test_another_epoch_sees_others_of_a_frequent_class_in_another_order() -> None:
    epochs = [sampler.balanced(RARE, RARE >= 0, np.random.default_rng([0, epoch])) for epoch in range(30)]
    frequent = [frozenset(order[RARE[order] == 0].tolist()) for order in epochs]
    assert len(set(frequent)) == 30 and frozenset.union(*frequent) == set(range(90)), "each has its turn"
    assert [int((RARE[order[:50]] == 2).sum()) for order in epochs] != [0] * 30, "classes are mixed, not in blocks"


def test_samples_without_a_label_keep_their_share_or_are_left_out() -> None:
    labels = np.where(np.arange(100) % 4 == 0, -1, RARE)
    known = labels >= 0
    order = sampler.balanced(labels, ALL, np.random.default_rng(0))
    assert np.bincount(order[~known[order]], minlength=100)[~known].tolist() == [1] * 25
    assert np.ptp(np.bincount(labels[order[known[order]]])) <= 1
    order = sampler.balanced(labels, known, np.random.default_rng(0))
    assert known[order].all() and len(order) == 100


def test_classes_are_counted_among_the_samples_that_come() -> None:
    """Of one class nearly nobody is taught: as where recorded answers are missing, and labels teach nothing."""
    labels = np.repeat([0, 1], 50)
    order = sampler.balanced(labels, np.arange(100) < 55, np.random.default_rng(0))
    assert (order < 55).all() and np.bincount(labels[order]).tolist() == [50, 50]


def test_of_several_heads_a_sample_comes_as_often_as_on_average_over_them() -> None:
    labels = np.stack([np.arange(100) % 2, RARE], axis=1)  # the first head is balanced as it is
    order = np.concatenate([sampler.balanced(labels, ALL, np.random.default_rng(i)) for i in range(40)])
    shares = np.bincount(labels[order, 1], minlength=3) / len(order)
    assert shares == pytest.approx([(0.9 + 1 / 3) / 2, (0.09 + 1 / 3) / 2, (0.01 + 1 / 3) / 2], abs=0.02)
    assert np.bincount(labels[order, 0]) / len(order) == pytest.approx([0.5, 0.5], abs=0.1)


def test_shuffled_sees_each_once_or_those_with_labels_again_and_again() -> None:
    assert sorted(sampler.shuffled(ALL, np.random.default_rng(0))) == list(range(100))
    order = sampler.shuffled(np.arange(100) < 30, np.random.default_rng(0))
    times = np.bincount(order)
    assert len(order) == 100 and len(times) == 30 and np.ptp(times) == 1


@given(seed=st.integers(0, 1000), pairs=st.integers(1, 20), alone=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_pairs_follow_each_other_and_begin_at_even_places(seed: int, pairs: int, alone: int) -> None:
    rng = np.random.default_rng(seed)
    together = rng.permutation(np.concatenate([np.arange(pairs).repeat(2), np.full(alone, -1)]))
    member = groups(together)
    assert len(np.unique(member)) == pairs + alone
    taught = rng.random(len(member)) < 0.5
    taught[0] = True
    order = sampler.grouped(taught, member, np.random.default_rng(seed))
    assert len(order) == len(member) and set(member[order]) == set(member[taught])
    seen = order[: int(np.isin(member, member[taught]).sum())]  # the first round
    in_pairs = together[seen][: 2 * len(np.unique(together[seen][together[seen] >= 0]))].reshape(-1, 2)
    assert (in_pairs[:, 0] == in_pairs[:, 1]).all() and len(np.unique(seen)) == len(seen)
