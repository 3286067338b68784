"""A label's threshold is the one with the best F1, and where several are as good it is said which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.label_thresholds import BOUND, best


def f1(scores: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    known = labels >= 0
    applies, hits = scores[known] >= threshold, labels[known] == 1
    return float(2 * (applies & hits).sum() / max(applies.sum() + hits.sum(), 1))


SAMPLES = st.lists(st.tuples(st.floats(-10, 10, width=32), st.sampled_from([-1, 0, 1])), min_size=1, max_size=40)


@given(samples=SAMPLES)
@settings(max_examples=200, deadline=None)
def test_no_other_threshold_has_a_better_f1(samples: list[tuple[float, int]]) -> None:
    scores, labels = (np.array(column) for column in zip(*samples, strict=True))
    threshold = best(scores.astype(np.float64), labels)
    assert -BOUND <= threshold <= BOUND
    known = labels[labels >= 0]
    if not (known == 1).any() or (known == 1).all():
        assert threshold == 0.0
        return
    tried = [*scores, *np.nextafter(scores, np.inf), 0.0]
    assert f1(scores, labels, threshold) >= max(f1(scores, labels, one) for one in tried) - 1e-12


@pytest.mark.parametrize(
    ("scores", "labels", "threshold"),
    [
        ([3.0, 1.0, -2.0], [1, 1, 0], 0.0),  # of all that are as good, 0 itself
        ([3.0, 2.0, 1.0], [1, 0, 0], 2.5),  # in the middle
        ([-3.0, -1.0, -5.0], [1, 1, 0], -4.0),
        ([3.0, 1.0], [0, 0], 0.0),  # absent in all of validation
        ([3.0, -1.0], [1, 1], 0.0),  # always present
        ([3.0, -1.0, 5.0], [1, 1, -1], 0.0),  # nothing else is known
        ([40.0, 30.0], [1, 0], BOUND),
        ([1.0, 1.0, -4.0], [1, 0, 0], 0.0),  # equal scores apply together
    ],
)
def test_ties_and_labels_that_tell_nothing(scores: list[float], labels: list[int], threshold: float) -> None:
    assert best(np.array(scores), np.array(labels)) == threshold
