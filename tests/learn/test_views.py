"""A view is a function of (seed, sample, v) and of nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.learn.views import Views

X = np.random.default_rng(0).integers(0, 256, (20, 6, 7, 3), dtype=np.uint8)


@given(seed=st.integers(0, 2**32 - 1), view=st.integers(0, 1023), order=st.permutations(range(20)))
@settings(max_examples=50, deadline=None)
def test_any_batch_and_any_order_gives_the_same_view(seed: int, view: int, order: list[int]) -> None:
    views = Views(seed, flip=True, crop=2, views=1024)
    index = np.arange(20)
    whole = views.apply(X, index, view)
    shuffled = np.array(order)
    assert np.array_equal(views.apply(X[shuffled], shuffled, view), whole[shuffled])
    assert np.array_equal(views.apply(X[3:5], index[3:5], view), whole[3:5])


def test_views_differ_and_cover() -> None:
    views, index = Views(0, flip=True, crop=1), np.zeros(1, np.int64)
    x = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    found = {views.apply(x, index, v).tobytes() for v in range(400)}
    assert len(found) == 18, "3 x 3 crops, mirrored or not"


def test_half_of_the_views_are_mirrored() -> None:
    views, index = Views(7, flip=True), np.arange(2000)
    x = np.broadcast_to(np.arange(2, dtype=np.uint8).reshape(1, 1, 2, 1), (2000, 1, 2, 1))
    share = (views.apply(x, index, 3)[:, 0, 0, 0] == 1).mean()
    assert 0.45 < share < 0.55


def test_without_augmentation_nothing_changes() -> None:
    assert Views(0).apply(X, np.arange(20), 5) is X
