"""A teacher that knows nothing, or names its classes in another order, is told before a student trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.decide.standing import best_order, standing

RNG = np.random.default_rng(5)


def answers(labels: Any, classes: int, right: float, order: Any = None) -> Any:
    """Answers of which a share is right, the others by luck; ``order``: the column that means each class."""
    said = np.where(RNG.random(len(labels)) < right, labels, RNG.integers(0, classes, len(labels)))
    return said if order is None else np.asarray(order)[said]


@pytest.mark.parametrize(("classes", "count"), [(2, 60), (5, 200), (100, 3000)])
@pytest.mark.parametrize("right", [0.5, 0.8, 0.97])
def test_another_order_is_found_and_the_right_one_is_left_alone(classes: int, count: int, right: float) -> None:
    labels = RNG.integers(0, classes, count)
    order = np.roll(np.arange(classes), 1)
    turned = standing(answers(labels, classes, right, order), labels, classes)
    assert turned is not None and turned.at_chance and turned.ordered > turned.accuracy
    assert turned.order == tuple(order.tolist()) and (turned.surely or right < 0.9)
    straight = standing(answers(labels, classes, right), labels, classes)
    assert straight is not None and straight.order is None and not straight.at_chance


def test_two_classes_of_ten_that_are_swapped() -> None:
    labels, order = RNG.integers(0, 10, 500), [0, 1, 2, 7, 4, 5, 6, 3, 8, 9]
    found = standing(answers(labels, 10, 0.98, order), labels, 10)
    assert found is not None and found.order == tuple(order) and found.surely and not found.at_chance


def test_luck_finds_no_order_and_is_chance() -> None:
    surely, chance = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 4, 48)
        found = standing(rng.integers(0, 4, 48), labels, 4)
        assert found is not None
        surely, chance = surely + (found.order is not None), chance + found.at_chance
    assert surely <= 4 and chance >= 180


def test_a_constant_answer_is_chance_however_uneven_the_classes_are() -> None:
    labels = np.r_[np.zeros(95, np.int64), np.ones(5, np.int64)]
    found = standing(np.zeros(100, np.int64), labels, 2)
    assert found is not None and found.accuracy == 0.95 and found.at_chance
    balanced = standing(np.r_[np.zeros(91, np.int64), np.ones(9, np.int64)], labels, 2)
    assert balanced is not None and not balanced.at_chance
    assert standing(labels[:20], labels[:20], 2) is None


def test_classes_that_do_not_come_up_stay_where_they_are() -> None:
    assert best_order(np.array([1, 0]), np.array([0, 1]), 4).tolist() == [1, 0, 2, 3]
