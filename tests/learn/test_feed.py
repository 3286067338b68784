"""Samples as a network reads them: limits, labels that few have, heads."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import UNKNOWN, Feed, some
from edgekd.spec.recipe import Augment

OPS = ({"op": "scale", "divide": 2.0}, {"op": "layout"})


def feed(limit: int | None = None, flip: bool = False) -> Feed:
    x = np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2, 1)
    part = Split(x, np.arange(40) % 4)
    return Feed(Dataset(part, part, part, tuple("abcd"), OPS), OPS, Augment(flip=flip, views=4), 0, limit)


def test_a_limit_takes_the_same_samples_from_everywhere() -> None:
    few, whole = feed(limit=10), feed()
    assert few.length("train") == 10 and whole.length("train") == 40
    numbers = [few.number("train", i) for i in range(10)]
    assert numbers == some(40, 10).tolist() and numbers != list(range(10))
    np.testing.assert_array_equal(few.raw("train"), whole.raw("train")[numbers])
    assert whole.number("train", 7) == 7 and some(3, 10).tolist() == [0, 1, 2]


def test_inputs_are_preprocessed_alike_by_range_and_by_number() -> None:
    one = feed()
    (by_range,), (by_number,) = (one.inputs("test", 3, 6).values(), one.plain("test", np.array([3, 4, 5])).values())
    np.testing.assert_array_equal(by_range, by_number)
    assert by_range.shape == (3, 1, 2, 2) and by_range.dtype == np.float32 and by_range[0, 0, 0, 1] == 6.5
    assert one.sample_shape == (1, 2, 2) and one.raw_shape == (2, 2, 1)


def test_few_labels_are_the_same_few_and_the_others_are_unknown() -> None:
    labels = feed().with_labels(12).labels("train")
    assert labels is not None and int((labels != UNKNOWN).sum()) == 12
    known = np.flatnonzero(labels != UNKNOWN)
    np.testing.assert_array_equal(labels[known], known % 4)
    again = feed().with_labels(12).labels("train")
    assert again is not None and np.array_equal(labels, again)
    validation = feed().with_labels(12).labels("validation")
    assert validation is not None and (validation != UNKNOWN).all()


def test_another_seed_shows_other_views_of_the_same_samples() -> None:
    one = feed(flip=True)
    other = one.seeded(1)
    assert not one.shows_as(other) and one.shows_as(one.seeded(0))
    index = np.arange(40)
    mine, theirs = (next(iter(f.train(0, index).values())) for f in (one, other))
    assert not np.array_equal(mine, theirs)
    np.testing.assert_array_equal(np.sort(mine, axis=3), np.sort(theirs, axis=3))


def test_whole_numbers_that_come_as_floats_are_whole_numbers_where_rows_are_looked_up() -> None:
    ops = ({"op": "columns", "names": ["ids"], "sizes": [9], "widths": [2]},)
    x = np.array([[1, 8], [0, 3]], np.float32)
    part = Split(x, np.array([0, 1]))
    (ids,) = Feed(Dataset(part, part, part, ("a", "b"), ops), ops, Augment(), 0).inputs("test", 0, 2).values()
    assert ids.dtype == np.int64 and ids.tolist() == x.tolist()
    broken = Split(x + np.float32(0.5), part.y)
    with pytest.raises(DataError, match="columns takes whole numbers; found 'float32"):
        Feed(Dataset(broken, broken, broken, ("a", "b"), ops), ops, Augment(), 0)
