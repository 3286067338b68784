"""Samples as a network reads them: limits, labels that few have, heads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import DataError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import UNKNOWN, Feed, some
from edgekd.spec.recipe import Augment
from edgekd.tasks import IGNORED, Heads
from edgekd.tasks.regression import Regression
from edgekd.tasks.tagging import Tagging

OPS = ({"op": "scale", "divide": 2.0}, {"op": "layout"})


def feed(limit: int | None = None, flip: bool = False) -> Feed:
    x = np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2, 1)
    part = Split(x, np.arange(40) % 4)
    return Feed(Dataset(part, part, part, tuple("abcd"), OPS), OPS, Augment(flip=flip, views=4), 0, limit)


@given(pairs=st.integers(1, 30), alone=st.integers(0, 9), limit=st.integers(2, 50), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_limit_takes_whole_groups(pairs: int, alone: int, limit: int, seed: int) -> None:
    numbers = np.concatenate([np.arange(pairs).repeat(2), np.full(alone, -1)])
    together = np.random.default_rng(seed).permutation(numbers)
    taken = some(len(together), limit, together)
    assert len(taken) <= limit and (np.diff(taken) > 0).all()
    assert len(taken) >= min(limit - 1, len(together))
    _, counts = np.unique(together[taken][together[taken] >= 0], return_counts=True)
    assert (counts == 2).all()


def test_labels_of_few_are_those_of_whole_pairs() -> None:
    y = np.stack([np.arange(40) // 2, np.full(40, 0.5)], axis=1).astype(np.float32)
    part = Split(np.zeros((40, 3), np.float32), y, together=np.arange(40) // 2)
    few = Feed(Dataset(part, part, part, ("a",), ()), (), Augment(), 0).with_labels(11).labels("train")
    assert few is not None
    known = few[~np.isnan(few).any(axis=1), 0].reshape(-1, 2)
    assert len(known) == 5 and (known[:, 0] == known[:, 1]).all()


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


def test_a_value_is_no_place_that_is_ignored() -> None:
    """Of 12 samples with the value -100 one is told; beside it a place without a word stays ignored in all of them."""
    y = np.full((12, 2), IGNORED, np.float32)
    values = Heads({"y": 2}, {"y": Regression()})
    both = Heads({"y": 1, "tags": (1, 3)}, {"y": Regression(), "tags": Tagging()})
    for heads, ignored in ((None, False), (values, False), (both, True)):
        split = Split(np.zeros((12, 3), np.float32), y)
        few = Feed(Dataset(split, split, split, ("a",), ()), (), Augment(), 0, None, heads).with_labels(1)
        kept = few.labels("train")
        assert kept is not None
        assert (~np.isnan(kept)).sum(axis=0).tolist() == [1, 12 if ignored else 1]


def test_another_seed_shows_other_views_of_the_same_samples() -> None:
    one = feed(flip=True)
    other = one.seeded(1)
    assert not one.shows_as(other) and one.shows_as(one.seeded(0))
    index = np.arange(40)
    mine, theirs = (next(iter(f.train(0, index).values())) for f in (one, other))
    assert not np.array_equal(mine, theirs)
    np.testing.assert_array_equal(np.sort(mine, axis=3), np.sort(theirs, axis=3))


def test_samples_as_they_are_have_one_view() -> None:
    one = feed(flip=True)
    plain, index = one.as_they_are(), np.arange(40)
    assert (one.views, plain.views) == (4, 1) and not plain.shows_as(one)
    for shown, there in zip(plain.train(0, index).values(), one.inputs("train", 0, 40).values(), strict=True):
        np.testing.assert_array_equal(shown, there)


def test_whole_numbers_that_come_as_floats_are_whole_numbers_where_rows_are_looked_up() -> None:
    ops = ({"op": "columns", "names": ["ids"], "sizes": [9], "widths": [2]},)
    x = np.array([[1, 8], [0, 3]], np.float32)
    part = Split(x, np.array([0, 1]))
    (ids,) = Feed(Dataset(part, part, part, ("a", "b"), ops), ops, Augment(), 0).inputs("test", 0, 2).values()
    assert ids.dtype == np.int64 and ids.tolist() == x.tolist()
    broken = Split(x + np.float32(0.5), part.y)
    with pytest.raises(DataError, match="columns takes whole numbers; found 'float32"):
        Feed(Dataset(broken, broken, broken, ("a", "b"), ops), ops, Augment(), 0)


@pytest.mark.parametrize(
    ("x", "ops", "rate", "kind"),
    [
        (np.zeros((4, 5, 6, 3), np.uint8), (), 0, "images"),
        (np.zeros((4, 5, 6, 2), np.float32), (), 0, "vectors"),
        (np.zeros((4, 9), np.int16), (), 16_000, "sounds"),
        (np.array(["a", "b", "c", "d"]), ({"op": "wordpiece"},), 0, "texts"),
        (np.zeros((4, 3), np.float32), (), 0, "vectors"),
        (np.zeros((4, 3), np.int64), (), 0, "codes"),
        (np.zeros((4, 2), np.float32), ({"op": "columns", "names": ["a"], "sizes": [9], "widths": [2]},), 0, "codes"),
        (np.zeros((4, 2), np.float32), ({"op": "parts", "names": "ab", "sizes": [0, 3], "shapes": [[1]] * 2},), 0,
         "codes"),
        (np.zeros((4, 2), np.float32), ({"op": "parts", "names": "ab", "sizes": [0, 0], "shapes": [[1]] * 2},), 0,
         "vectors"),
    ],
)  # fmt: skip
def test_what_raw_samples_are(x: np.ndarray, ops: tuple[dict[str, object], ...], rate: int, kind: str) -> None:
    """Ids are no quantities, in whatever type they come: half of user 3 and half of user 5 is not user 4."""
    if ops and ops[0]["op"] == "wordpiece":
        ops = ({"op": "wordpiece", "vocabulary": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "length": 8, "lower": True},)
    part = Split(x, np.zeros(4, np.int64))
    assert Feed(Dataset(part, part, part, ("a", "b"), ops, rate=rate), ops, Augment(), 0).raw_kind == kind


def test_what_a_view_mixes_is_the_same_however_a_network_is_shown_it() -> None:
    """So a teacher with a preprocessing of its own answers to the very same mixed samples."""
    x = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    part = Split(x, np.arange(40) % 4)
    augment = Augment(crop=1, views=4, ops=({"kind": "mixup", "alpha": 0.5},))
    data = Dataset(part, part, part, tuple("abcd"), OPS)
    ours, theirs = Feed(data, (), augment, 0), Feed(data, OPS, augment, 0)
    index = np.array([7, 3])
    (one,), (other,) = ours.train(2, index).values(), theirs.train(2, index).values()
    np.testing.assert_array_equal(np.moveaxis(one, 3, 1) / np.float32(2), other)
    mine, others = ours.mixture(2, index), theirs.mixture(2, index)
    assert mine is not None and others is not None
    np.testing.assert_array_equal(mine.coefficient, others.coefficient)
    cropped = Feed(data, (), Augment(crop=1, views=4), 0)
    (own,), (partners,) = (cropped.train(2, which).values() for which in (index, mine.partners))
    share = mine.coefficient[:, None, None, None]
    assert np.abs(share * own + (1 - share) * partners - one).max() <= 0.51, "the partner is cropped, too"
    reseeded = ours.seeded(1).mixture(2, index)
    assert reseeded is not None and (reseeded.coefficient != mine.coefficient).all()
    assert cropped.mixture(2, index) is None
