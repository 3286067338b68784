"""Shares, their logarithms and leads, against the formulas."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekd.base import scores

SCORES = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e4, 1e4, width=32))


@settings(deadline=None)
@given(SCORES)
def test_shares_sum_to_one_and_keep_the_order(values: np.ndarray) -> None:
    shares = scores.softmax(values)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares.max(axis=1) == shares[np.arange(len(values)), values.argmax(axis=1)]).all()
    near = scores.log_softmax(values) > -700
    np.testing.assert_allclose(np.log(shares[near]), scores.log_softmax(values)[near], atol=1e-9)


@settings(deadline=None)
@given(SCORES, st.floats(-100, 100, width=32))
def test_what_is_added_to_every_score_changes_no_share(values: np.ndarray, shift: float) -> None:
    np.testing.assert_allclose(scores.softmax(values.astype(np.float64) + shift), scores.softmax(values), atol=1e-6)


def test_a_lead_is_the_distance_to_the_second() -> None:
    assert scores.lead(np.array([[1, 5, 2], [3, 3, 0]], np.float32)).tolist() == [3.0, 0.0]
    assert scores.lead(np.array([[-4.0]], np.float32)).tolist() == [4.0]
