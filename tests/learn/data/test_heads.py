"""Several questions from one label: classes grouped in more than one way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import RecipeError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._heads import grouped


def dataset() -> Dataset:
    part = Split(np.zeros((6, 2), np.float32), np.array([0, 1, 2, 3, 0, 1]))
    return Dataset(part, part, Split(part.x, None), tuple("abcd"), ())


def test_each_head_has_its_labels_and_its_names() -> None:
    made = grouped(dataset(), {"letter": {}, "half": {"first": [0, 1], "last": [2, 3]}})
    assert made.heads == {"letter": 4, "half": 2} and made.classes == (*"abcd", "first", "last")
    assert made.train.y is not None and made.train.y.tolist() == [[0, 0], [1, 0], [2, 1], [3, 1], [0, 0], [1, 0]]
    assert made.test.y is None


def test_the_labels_of_one_head_are_a_row() -> None:
    made = grouped(dataset(), {"half": {"first": [0, 1], "last": [2, 3]}})
    assert made.train.y is not None and made.train.y.tolist() == [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"one": [0, 1, 2, 3]}, "one group only"),
        ({"one": [0, 1], "two": [2]}, "a class in no group; found 'd'"),
        ({"one": [0, 1], "two": [1, 2, 3]}, "a class in two groups; found 'b'"),
        ({"one": [0, 1, 2, 3], "two": []}, "a group without a class"),
        ({"one": [0, 1, 2, 3], "two": [4]}, "no such class; found '?4"),
    ],
)
def test_groups_that_part_no_classes(groups: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=rf"^data\.heads\.half.*: {message}"):
        grouped(dataset(), {"half": groups})


def test_a_group_that_nothing_can_be_learned_of() -> None:
    part = Split(np.zeros((3, 2), np.float32), np.array([0, 1, 0]))
    few = Dataset(part, part, part, tuple("abcd"), ())
    with pytest.raises(RecipeError, match="a group without a training sample; found 'last'"):
        grouped(few, {"half": {"first": [0, 1], "last": [2, 3]}})
    with pytest.raises(RecipeError, match="heads of its own"):
        grouped(grouped(dataset(), {"a": {}, "b": {}}), {"c": {}})
