"""How a split is carved off: of every class its share, groups whole, the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import DataError
from edgekd.learn.data import _split
from edgekd.learn.data._base import Split


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=60), st.data())
def test_every_class_gives_its_share(labels: list[int], data: st.DataObject) -> None:
    y = np.array(labels)
    wanted = data.draw(st.integers(1, len(y) - 1))
    kept, carved = _split.carve(y, len(y), wanted, data.draw(st.integers(0, 9)))
    assert len(carved) == wanted and sorted([*kept, *carved]) == list(range(len(y)))
    for label, size in zip(*np.unique(y, return_counts=True), strict=True):
        assert abs(int((y[carved] == label).sum()) - size * wanted / len(y)) <= 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=4, max_size=40), st.integers(1, 30), st.integers(0, 9))
def test_a_group_stays_on_one_side(groups: list[int], wanted: int, seed: int) -> None:
    member = np.array(groups)
    kept, carved = _split.carve(None, len(member), wanted, seed, member)
    assert not set(member[kept]) & set(member[carved]) and len(carved)
    assert len(carved) <= max(wanted, np.bincount(member)[np.unique(member)].min())


def test_what_is_carved_off_knows_its_groups() -> None:
    train, video = Split(np.zeros((40, 2)), np.arange(40) % 2), np.repeat(list("abcdefgh"), 5)
    splits, _ = _split.carve_missing({"train": train}, {"validation": 10, "test": 10}, 0, video, "video")
    assert {name: len(split) for name, split in splits.items()} == {"train": 20, "validation": 10, "test": 10}
    names = [name for split in splits.values() if split.group is not None for name in {*split.group.tolist()}]
    assert sorted(names) == list(range(8))
    assert _split.carve_missing({"train": train}, {"test": 10}, 0)[0]["test"].group is None
    with pytest.raises(DataError, match=r"data\.groups: one group for each training sample"):
        _split.carve_missing({"train": train}, {"test": 10}, 0, video[:9])


def test_what_has_any_of_several_groups_in_common_stays_together() -> None:
    speaker, room = np.array([0, 0, 1, 2, 3]), np.array([7, 8, 8, 9, 9])
    together = _split.joined([speaker, room], 5, "data.groups")
    assert together is not None and len(set(together[:3])) == 1 and len(set(together[3:])) == 1
    assert together[0] != together[3]
    assert _split.joined([], 5, "data.groups") is None
    with pytest.raises(DataError, match="one group for each sample"):
        _split.joined([speaker, room[:4]], 5, "data.groups")


@pytest.mark.parametrize("share", [0.01, 1.0, 40.0])
def test_no_split_is_left_empty(share: float) -> None:
    train = Split(np.zeros((20, 2)), np.arange(20) % 2)
    if share == 1.0:
        kept, off = _split.carved(train, share, 0, "test")
        assert (len(kept), len(off)) == (19, 1), "from 1 on a count"
        return
    with pytest.raises(DataError, match=r"data\.test: leaves an empty split"):
        _split.carved(train, share, 0, "test")


@pytest.mark.parametrize(("shape", "dtype"), [((4, 8), "uint8"), ((4, 8, 8, 2), "uint8"), ((4, 8, 8), "int64")])
def test_what_is_no_images(shape: tuple[int, ...], dtype: str) -> None:
    assert _split.images(np.zeros((4, 8, 8), np.float64), "x").dtype == np.float32
    assert _split.images(np.zeros((4, 8, 8, 3), np.uint8), "x").shape == (4, 8, 8, 3)
    with pytest.raises(DataError, match="not images"):
        _split.images(np.zeros(shape, dtype), "x")
