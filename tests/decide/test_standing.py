"""A teacher that knows nothing, or names its classes in another order, is told before a student trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import edgekd
from edgekd.base.errors import RecipeError
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import teacher_check
from edgekd.build.prepare import Objects
from edgekd.decide.standing import best_order, standing
from edgekd.learn.data._batches import from_splits

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


def bench(tmp_path: Path, **teacher: Any) -> Any:
    """A bench over 60 validation samples of three classes, whose teacher is read from elsewhere."""
    labels = np.arange(60) % 3
    x = np.eye(4, dtype=np.float32)[labels]
    data = from_splits([(x, labels)] * 3, "data", ("ant", "bee", "cat"))
    table = {"name": "s", "data": {"source": "objects"}, "teacher": {"model": {"kind": "object"}, **teacher},
             "student": {"model": {"kind": "object"}}, "losses": [{"kind": "kl"}]}  # fmt: skip
    order = requests.make(table, ["ort-cpu"], data="d", objects="o", out=tmp_path / "out", cache=tmp_path / "c")
    return running.checked(order, Objects(data, nn.Linear(4, 3), nn.Linear(4, 3))), np.eye(3, dtype=np.float32)[labels]


def test_the_likely_order_is_named_with_the_key_that_sets_it_right(tmp_path: Path) -> None:
    made, scores = bench(tmp_path)
    teacher_check.check(made, "teacher", scores)
    assert not made.found
    with pytest.raises(RecipeError, match=r"class 'ant' is its column 1.*worse than chance.*classes = \[1, 2, 0\]"):
        teacher_check.check(made, "teacher", scores[:, [2, 0, 1]])
    made, _ = bench(tmp_path, classes=[2, 1, 0])
    with pytest.raises(RecipeError, match=r"classes = \[2, 0, 1\]"):
        teacher_check.check(made, "teacher", scores[:, [0, 2, 1]])
    teacher_check.check(made, "teacher", np.zeros_like(scores))
    assert "no better than chance" in made.found[0]


def test_a_turned_teacher_builds_nothing(tmp_path: Path) -> None:

    labels = np.arange(45) % 3
    x = 5 * np.eye(3, dtype=np.float32)[labels]
    recipe = {"compress": [], "student": {"from_teacher": [], "epochs": 0}}
    net = nn.Linear(3, 3, bias=False)
    net.weight.data = torch.eye(3)[[2, 0, 1]]
    with pytest.raises(RecipeError, match="another order"):
        edgekd.build(recipe, teacher=net, data=[(x, labels)] * 3, targets=["ort-cpu"], out=tmp_path / "out", quick=True)
    assert not (tmp_path / "out").exists()
