"""The distance is that of the paper, for whatever the scores are, and is told of no too few samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.decide import abstain, class_distance
from edgekd.decide.class_distance import DIGITS, MOST, SHRINKAGE, fitted
from edgekd.runtime.thresholds import distance_of


def drawn(seed: int, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that lie around a mean of their class, and the best class of each."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(classes, classes))
    scores = rng.normal(size=(count, classes)) @ mixing + 5 * np.eye(classes)[rng.integers(0, classes, count)]
    return scores, scores.argmax(axis=1)


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_it_is_the_relative_mahalanobis_distance(seed: int, classes: int) -> None:
    """As Ren et al. write it, with two covariances that are inverted; here the one holds the other."""
    scores, member = drawn(seed, 200, classes)
    seen = np.unique(member)
    found = fitted(scores, member)
    if len(seen) < 2:
        assert found is None
        return
    assert found is not None and len(found["axes"]) == len(seen) - 1
    means = {c: scores[member == c].mean(axis=0) for c in seen}
    inner = scores - np.stack([means[c] for c in member])
    within = inner.T @ inner / len(scores)
    ridge = SHRINKAGE * np.trace(within) / classes * np.eye(classes)
    whole = np.cov(scores.T, bias=True) + ridge
    near, far = np.linalg.inv(within + ridge), np.linalg.inv(whole)
    new = 4 * np.random.default_rng(seed + 1).normal(size=(50, classes))

    def squares(mean: np.ndarray, inverse: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("ni,ij,nj->n", new - mean, inverse, new - mean))

    wanted = squares(scores.mean(axis=0), far) - np.min([squares(means[c], near) for c in seen], axis=0)
    np.testing.assert_allclose(distance_of(found).nearness(new), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@given(seed=st.integers(0, 10_000), change=st.floats(0.001, 1))
@settings(max_examples=25, deadline=None)
def test_no_change_of_the_scores_leaves_its_bounds(seed: int, change: float) -> None:
    distance = fitted(*drawn(seed, 100, 4))
    assert distance is not None
    rng, of = np.random.default_rng(seed), distance_of(distance)
    scores = 3 * rng.normal(size=4)
    low, high = of.bounds(scores, change)
    moved = of.nearness(scores + change * rng.choice([-1.0, 1.0, 0.3], (200, 4)))
    assert low <= moved.min() and moved.max() <= high and low < of.nearness(scores[None])[0] < high


def test_scores_of_no_class_are_further() -> None:
    """Twice as large as those of a class they are surer by the lead, by the probability and by the energy."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 600)
    scores = 4 * np.eye(3)[classes] + 0.5 * rng.normal(size=(600, 3))
    strangers = 8 * np.eye(3)[classes] + np.array([4.0, 4.0, 4.0]) + 0.5 * rng.normal(size=(600, 3))
    distance = fitted(scores[:300], scores[:300].argmax(axis=1))
    assert distance is not None
    nearness = distance_of(distance).nearness
    assert abstain.auroc(nearness(scores[300:]), nearness(strangers)) > 0.9
    assert abstain.auroc(scores[300:].max(axis=1), strangers.max(axis=1)) < 0.1


@pytest.mark.parametrize(
    ("scores", "classes"),
    [
        (np.eye(3), np.array([0, 1, 2])),  # one sample of each
        (np.random.default_rng(0).normal(size=(9, 3)), np.zeros(9, np.int64)),
        (np.zeros((0, 3)), np.zeros(0, np.int64)),
        (np.tile(np.eye(2), (9, 1)), np.tile([0, 1], 9)),  # all alike
        (np.random.default_rng(0).normal(size=(900, MOST + 1)), np.arange(900) % (MOST + 1)),
    ],
)
def test_of_too_little_none_is_told(scores: np.ndarray, classes: np.ndarray) -> None:
    assert fitted(scores, classes) is None


def test_a_class_without_an_answer_is_left_out_and_numbers_are_short() -> None:
    scores, member = drawn(3, 300, 5)
    kept = member != 2
    found = fitted(scores[kept], member[kept])
    assert found is not None and len(found["means"]) == 4 and np.shape(found["axes"]) == (3, 5)
    numbers = [*found["shift"], *found["weights"], *np.ravel(found["axes"]), *np.ravel(found["means"])]
    assert numbers == [float(f"{number:.{DIGITS}g}") for number in numbers]
    assert class_distance.fitted(1e3 * scores[kept], member[kept]) is not None
