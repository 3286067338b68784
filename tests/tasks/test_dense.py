"""Classes at every place: rows, decisions, labels of two tasks, one with the classes first and one with them last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.metrics import Evaluator
from edgekd.metrics.accuracy import Accuracy
from edgekd.metrics.agreement import Agreement
from edgekd.tasks import IGNORED, Heads, Numbered
from edgekd.tasks._dense import DenseClasses


@dataclass(frozen=True)
class Grid(DenseClasses):
    """(N, C, H, W) scores of classes."""

    axes: ClassVar[tuple[str, ...]] = ("batch", "class", "y", "x")
    hub: ClassVar[Mapping[str, str]] = {}
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "agreement")
    losses: ClassVar[tuple[str, ...]] = ("kl", "cross_entropy")
    label_loss: ClassVar[str] = "cross_entropy"
    program: ClassVar[str] = ""
    holds: ClassVar[str] = "scores of {} classes"
    prints: ClassVar[str] = "answer"

    def shape(self, names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
        return (names, *labels)

    def numbered(self, labels: Mapping[str, AnyArray], names: Any, at: Any, where: str) -> Numbered:
        return Numbered(names, dict(labels))

    def decode(self, shares: AnyArray, names: Sequence[str]) -> Any:
        return shares

    def record(self, decided: Any) -> dict[str, Any]:
        return {}

    def numbers(self, record: Mapping[str, Any]) -> list[float]:
        return []


@dataclass(frozen=True)
class Line(Grid):
    """(N, T, C) scores of classes."""

    axes: ClassVar[tuple[str, ...]] = ("batch", "token", "class")
    axis: ClassVar[int] = 1

    def there(self, rows: AnyArray) -> np.ndarray:
        return np.asarray((rows != 0).any(axis=-1))

    def shape(self, names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
        return (*labels, names)


MAPS = np.random.default_rng(0).standard_normal((5, 3, 2, 4)).astype(np.float32)
LINES = np.moveaxis(MAPS, 1, -1).reshape(5, 8, 3)


def test_both_orders_of_the_axes_say_the_same() -> None:
    grid, line = Grid(), Line()
    assert grid.shape(3, (2, 4)) == (3, 2, 4) and line.shape(3, (8,)) == (8, 3)
    assert grid.places((3, 2, 4)) == line.places((8, 3)) == 8
    np.testing.assert_array_equal(grid.rows(MAPS, (3, 2, 4)), line.rows(LINES, (8, 3)))
    np.testing.assert_array_equal(grid.answers(MAPS), line.answers(LINES))
    np.testing.assert_array_equal(grid.answers(MAPS), MAPS.argmax(1).reshape(5, 8))
    np.testing.assert_array_equal(grid.lead(MAPS), line.lead(LINES))
    np.testing.assert_allclose(grid.shares(MAPS).sum(axis=1), 1)
    np.testing.assert_allclose(np.moveaxis(grid.shares(MAPS), 1, -1).reshape(5, 8, 3), line.shares(LINES))
    other = MAPS + np.float32(0.1) * MAPS[::-1]
    np.testing.assert_allclose(
        grid.distance(MAPS, other), line.distance(LINES, np.moveaxis(other, 1, -1).reshape(5, 8, 3))
    )


def test_one_place_that_turns_is_another_decision_and_a_place_that_is_not_there_is_none() -> None:
    line, one = Line(), np.array([[[5.0, 0, 0], [0, 4, 0], [0, 0, 0]]], np.float32)
    turned = one.copy()
    turned[0, 1] = [3, 0, 0]
    assert line.answers(one).tolist() == [[0, 1, IGNORED]] and line.lead(one).tolist() == [4]
    same = line.same(one, turned)
    assert same is not None and not same.any()
    assert line.differs(turned, one, 0.5).tolist() == [True] and line.differs(turned, one, 0.9).tolist() == [False]
    assert line.distance(one, one) == pytest.approx(0) and 0 < line.distance(one, turned)[0] <= 1
    assert line.picks(line.answers(one), 3).tolist() == [[True, True, False]]
    assert line.lead(0 * one).tolist() == [0] and line.distance(0 * one, 0 * one).tolist() == [0]


def test_metrics_see_the_places_that_have_a_label() -> None:
    heads = Heads({"logits": (3, 2, 4)}, {"logits": Grid()})
    flat, labels = MAPS.reshape(5, -1), MAPS.argmax(1).reshape(5, 8).copy()
    labels[:, 2:] = IGNORED
    labels[0, 0], labels[1, 0] = -1, (labels[1, 0] + 1) % 3
    evaluator = Evaluator(Accuracy(), heads)
    assert evaluator(flat, labels, None, flat) == pytest.approx(8 / 9)
    assert evaluator.per_sample(flat, labels, None, flat) is None and not evaluator.is_mean
    assert Evaluator(Agreement(), heads)(flat, None, flat, flat) == 1
    assert evaluator(flat, None, -flat, flat) < 1


def test_several_heads_have_their_own_columns_names_and_labels() -> None:
    heads = Heads({"map": (3, 2, 2), "a": 2}, {"map": Grid()})
    assert heads.width == 14 and heads.columns["a"] == slice(12, 14) and heads.name_columns["a"] == slice(3, 5)
    assert heads.label_columns == {"map": slice(0, 4), "a": slice(4, 5)}
    assert heads.dense and heads.link == "" and not heads.exclusive and heads.only("a").exclusive
    assert heads.only("map") == Heads({"map": (3, 2, 2)}, {"map": Grid()}) != Heads({"map": (3, 4, 1)}, {"map": Grid()})
    scores = np.arange(28.0).reshape(2, 14)
    assert heads.split(scores)["map"].shape == (2, 3, 2, 2)
    assert heads.answers(scores).tolist() == [[2, 2, 2, 2, 1]] * 2


WRONG = [
    (np.zeros((2,), np.int64), "labels of each place are needed"),
    (np.zeros((2, 4)), "labels are whole numbers"),
    (np.array([[0, 1], [-7, 2]]), "a label out of range; found '-7 at sample 1'"),
    (np.array([[0, 3], [0, 2]]), "a label out of range; found '3 at sample 0'"),
]


@pytest.mark.parametrize(("labels", "message"), WRONG)
def test_labels_that_are_none_are_refused(labels: AnyArray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Grid().check(labels, 2, 3, "data")
    Grid().check(np.array([[0, -1], [IGNORED, 2]]), 2, 3, "data")


def test_one_class_alone_teaches_nothing() -> None:
    Grid().check_learned({"train": np.array([[0, 1]])}, "abc", "data")
    for labels in ([[1, 1]], [[-1, IGNORED]]):
        with pytest.raises(DataError, match="one class only"):
            Grid().check_learned({"train": np.array(labels)}, "abc", "data")
