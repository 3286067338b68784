from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgekd.base.errors import IntegrityError, UsageError
from edgekd.runtime.backend import Array, Port, Session
from edgekd.runtime.parity import check, clearly_differs, compare, run_all
from edgekd.tasks import Heads
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.regression import Regression

SCORES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6), elements=st.floats(-9, 9, width=16)
)


class Doubles:
    """A session that doubles x and takes any batch, or one."""

    def __init__(self, batch: int | None = None) -> None:
        self.inputs: tuple[Port, ...] = (Port("x", (batch, 2), "float32"),)
        self.outputs: tuple[Port, ...] = (Port("twice", (batch, 2), "float32"), Port("same", (batch, 2), "float32"))
        self.seen: list[int] = []

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self.seen.append(len(arrays["x"]))
        return {"twice": arrays["x"] * 2, "same": arrays["x"].copy()}

    def fork(self) -> Session:
        return self


@given(SCORES)
def test_equal_scores_agree(scores: np.ndarray) -> None:
    comparison = compare(scores, scores.copy())
    assert (comparison.max_abs_diff, comparison.argmax_agreement, comparison.samples) == (0, 1, len(scores))
    assert comparison.relative == comparison.mean_relative == 0


@given(SCORES, st.integers(0, 5), st.floats(1, 100, width=16))
def test_one_changed_score_is_the_difference(scores: np.ndarray, row: int, by: float) -> None:
    row %= len(scores)
    changed = scores.astype(np.float64)
    changed[row, 0] += by
    comparison = compare(changed, scores)
    assert comparison.max_abs_diff == pytest.approx(by)
    assert comparison.argmax_agreement in (1.0, pytest.approx(1 - 1 / len(scores)))


def test_agreement_counts_rows() -> None:
    want = np.eye(4, dtype=np.float32)
    assert compare(want[[0, 1, 2, 0]], want).argmax_agreement == 0.75


@given(SCORES, st.integers(0, 5))
def test_there_is_one_rule_with_a_task_and_without(scores: np.ndarray, by: int) -> None:
    """Also of an array of more axes, whose last one holds the classes."""
    other, size = np.roll(scores, by, axis=0), scores.shape[1]
    named = compare(other, scores, heads=Heads({"logits": size}))
    assert compare(other, scores) == named
    assert compare(other[None], scores[None]).argmax_agreement == named.argmax_agreement


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_without_classes_there_is_no_agreement(shape: tuple[int, ...]) -> None:
    values = np.zeros(shape, np.float32)
    assert compare(values, values).argmax_agreement is None
    assert compare(np.zeros((5, 3)), np.zeros((5, 3)), classes=False).argmax_agreement is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_infinitely_far(bad: float) -> None:
    want = np.ones((2, 3), np.float32)
    got = want.copy()
    got[1, 1] = bad
    for a, b in ((got, want), (want, got), (got, got)):
        comparison = compare(a, b)
        assert comparison.max_abs_diff == math.inf
        assert comparison.relative == comparison.mean_relative == math.inf
        assert comparison.as_dict()["max_abs_diff"] is None


def test_integers_do_not_wrap() -> None:
    comparison = compare(np.array([[0, 255]], np.uint8), np.array([[255, 0]], np.uint8))
    assert comparison.max_abs_diff == 255


def test_a_constant_reference_forgives_its_rounding_alone() -> None:
    assert compare(np.full((2, 2), 1.5), np.ones((2, 2))).relative == pytest.approx(50)
    assert compare(np.ones((2, 2)) + 1e-7, np.ones((2, 2))).relative < 1e-3
    assert compare(np.full((2, 2), 1e-9), np.zeros((2, 2))).relative == math.inf


VALUES = np.array([[20.0, 101_000.0], [22.0, 102_000.0], [21.0, 101_500.0]])


def test_a_difference_is_a_share_of_what_its_own_output_ranges_over() -> None:
    """20 degrees beside 101,325 Pa: of both together a tolerance of 0.05 would allow 5,000 of either."""
    got = VALUES + np.array([[1.0, 100.0], [0.0, 0.0], [0.5, 0.0]])
    values = Heads({"y": 2}, {"y": Regression()})
    assert compare(got, VALUES, heads=values).relative == pytest.approx(0.5)
    assert compare(got, VALUES, heads=values).mean_relative == pytest.approx(0.25)
    assert compare(got, VALUES, heads=Heads({"y": 2}, {"y": Regression(points=True)})).relative < 1e-2
    two = Heads({"a": 1, "b": 1}, {"a": Anomaly(), "b": Anomaly()})
    assert compare(got, VALUES, heads=two).relative == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 1), (0, 3)])
def test_another_shape_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(IntegrityError):
        compare(np.zeros(shape), np.zeros((2, 3)) if shape[0] else np.zeros((0, 3)))


@pytest.mark.parametrize(("fixed", "batches"), [(None, [4, 4, 2]), (1, [1] * 10), (5, [5, 5])])
def test_all_samples_run_in_order(fixed: int | None, batches: list[int]) -> None:
    session = Doubles(fixed)
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    np.testing.assert_array_equal(run_all(session, {"x": x}, batch=4), x * 2)
    assert session.seen == batches
    assert check(session, {"x": x}, x, output="same").max_abs_diff == 0
    assert check(session, {"x": x}, x).max_abs_diff == 19


def test_mistakes_are_told() -> None:
    x = np.zeros((10, 2), np.float32)
    with pytest.raises(UsageError, match="no such output"):
        run_all(Doubles(), {"x": x}, output="thrice")
    with pytest.raises(UsageError, match="3 samples at once; found 10"):
        run_all(Doubles(3), {"x": x})
    with pytest.raises(UsageError, match="unequal"):
        run_all(Doubles(), {"x": x, "y": x[:3]})


def test_a_tie_that_rounding_decides_is_no_difference() -> None:
    want = np.array([[0.0, 10.0], [5.0, 5.1], [9.0, 0.0], [0.0, 9.0]], np.float32)
    got = np.array([[0.0, 10.0], [5.1, 5.0], [0.0, 9.0], [0.0, 9.0]], np.float32)
    assert clearly_differs(got, want, 0.05) == 0.25
    assert clearly_differs(want, want, 0.0) == 0.0
    assert clearly_differs(got, want, 0.0) == 0.5
