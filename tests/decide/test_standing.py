"""A teacher that knows nothing, or names its classes in another order, is told before a student trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edgekd.decide.standing import best_order, line, ranking, standing

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


def test_one_answer_to_all_is_no_order() -> None:
    labels = np.r_[np.zeros(95, np.int64), np.ones(5, np.int64)]
    stands = standing(np.ones(100, np.int64), labels, 2)
    assert stands is not None and stands.order is None and stands.at_chance


def test_places_of_a_sample_stand_in_one_half() -> None:
    samples = np.repeat(np.arange(10), 20)
    labels = RNG.integers(0, 3, 200)
    turned = standing((labels + 1) % 3, labels, 3, samples)
    assert turned is not None and turned.order == (1, 2, 0) and turned.surely
    assert standing((labels + 1) % 3, labels, 3, np.zeros(200, np.int64)) is not None


@pytest.mark.parametrize("rare", [0.5, 0.1])
def test_labels_in_another_order_are_seen_by_how_they_rank(rare: float) -> None:
    labels = (RNG.random((300, 4)) < rare).astype(np.int64)
    scores = (labels + RNG.normal(0, 0.3, labels.shape)).astype(np.float32)
    labels[::7, 1] = -1
    straight, turned = ranking(scores, labels), ranking(scores[:, [0, 2, 1, 3]], labels)
    assert straight is not None and straight.order is None and not straight.at_chance and straight.accuracy > 0.95
    assert turned is not None and turned.order == (0, 2, 1, 3) and turned.surely and turned.ordered > 0.9
    luck = ranking(RNG.random((300, 4)).astype(np.float32), labels)
    assert luck is not None and luck.order is None and luck.at_chance
    assert ranking(scores[:20], labels[:20]) is None
    assert ranking(scores, np.zeros_like(labels)) is None


def test_the_area_is_that_of_the_curve() -> None:
    labels = RNG.integers(0, 2, (80, 1))
    scores = RNG.integers(0, 5, (80, 1)).astype(np.float32)
    stands = ranking(scores, labels)
    assert stands is not None and stands.accuracy == pytest.approx(roc_auc_score(labels, scores))


def test_values_in_another_unit_are_seen_with_the_line_that_sets_them_right() -> None:
    labels = RNG.normal(30_000, 2000, 50)
    of = line((labels - 30_000) / 2000, labels)
    assert of is not None and of.explained < -100 and not of.at_chance
    assert (of.factor, of.offset, of.correlation) == pytest.approx((2000, 30_000, 1))
    constant = line(np.zeros(50), labels)
    assert constant is not None and constant.at_chance and constant.factor == 0
    assert line(labels[:10], labels[:10]) is None and line(labels, np.zeros(50)) is None
