"""Masks and points move with their pictures: what a view shows at a place is what its labels say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import FactoryError, RecipeError
from edgekd.learn import moved_labels
from edgekd.learn.data import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.learn.views import Views
from edgekd.spec.recipe import Augment
from edgekd.tasks import IGNORED, Heads, Labelled
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation

COUNT, HEIGHT, WIDTH = 6, 7, 9
RNG = np.random.default_rng(0)
MASKS = RNG.integers(0, 4, (COUNT, HEIGHT, WIDTH))
MAPS = Heads({"map": (4, HEIGHT, WIDTH)}, {"map": Segmentation()})
PLACES = np.stack([RNG.integers(0, WIDTH, (COUNT, 3)), RNG.integers(0, HEIGHT, (COUNT, 3))], axis=2)
POINTS = Heads({"points": 6}, {"points": Regression(points=True)})
MOVING: list[dict[str, Any]] = [{"kind": "flip", "swap": [[0, 2]]}, {"kind": "crop", "padding": 3}, {"kind": "colour"}]
INDEX = np.arange(COUNT)


def views(*ops: dict[str, Any], seed: int = 0) -> Views:
    return Views.of(Augment(ops=tuple(ops), views=1024), seed)


@given(seed=st.integers(0, 2**32 - 1), view=st.integers(0, 1023), kinds=st.lists(st.integers(0, 1), max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_mask_is_the_picture_of_its_classes(seed: int, view: int, kinds: list[int]) -> None:
    shown = views(*(MOVING[kind] for kind in kinds), seed=seed)
    pictures = (MASKS + 1).astype(np.uint8)[..., None]  # 0 is what no picture had
    seen = shown.apply(pictures, INDEX, view)[..., 0].astype(np.int64) - 1
    masks = moved_labels.moved(MASKS, MAPS, shown, INDEX, view, pictures)
    assert masks.dtype == MASKS.dtype and np.array_equal(masks, np.where(seen < 0, IGNORED, seen))


@given(seed=st.integers(0, 2**32 - 1), view=st.integers(0, 1023), kinds=st.lists(st.integers(0, 1), unique=True))
@settings(max_examples=40, deadline=None)
def test_a_point_is_where_the_picture_shows_it(seed: int, view: int, kinds: list[int]) -> None:
    shown = views(*(MOVING[kind] for kind in kinds), seed=seed)
    pictures = np.zeros((COUNT, HEIGHT, WIDTH, 1), np.uint8)
    pictures[INDEX, PLACES[:, 1, 1], PLACES[:, 1, 0]] = 255  # the second point changes places with none
    labels = PLACES.reshape(COUNT, 6).astype(np.float32)
    moved = moved_labels.moved(labels, POINTS, shown, INDEX, view, pictures).reshape(COUNT, 3, 2)
    for picture, (x, y) in zip(shown.apply(pictures, INDEX, view)[..., 0], moved[:, 1].astype(int), strict=True):
        if 0 <= x < WIDTH and 0 <= y < HEIGHT:
            assert picture[y, x] == 255
        else:
            assert not picture.any()


def test_points_that_are_not_known_stay_so_and_pairs_change_places() -> None:
    labels = np.array([[1, 2, 3, 4, np.nan, np.nan]], np.float32)
    pictures = np.zeros((1, 8, 8, 1), np.uint8)
    flip, seen = {"kind": "flip", "swap": [[0, 1]]}, []
    for view in range(20):
        moved = moved_labels.moved(labels, POINTS, views(flip), np.array([0]), view, pictures)
        seen.append([int(x) for x in moved[0, :4]])
        assert np.isnan(moved[0, 4:]).all() and moved.dtype == np.float32
    assert {tuple(one) for one in seen} == {(1, 2, 3, 4), (4, 4, 6, 2)}


def test_of_several_heads_those_of_places_move_alone() -> None:
    heads = Heads({"map": (4, HEIGHT, WIDTH), "kind": 3}, {"map": Segmentation()})
    labels = np.concatenate([MASKS.reshape(COUNT, -1), np.arange(COUNT)[:, None] % 3], axis=1)
    pictures = np.zeros((COUNT, HEIGHT, WIDTH, 1), np.uint8)
    shown = views(MOVING[1])
    moved = moved_labels.moved(labels, heads, shown, INDEX, 5, pictures)
    assert np.array_equal(moved[:, -1], labels[:, -1]) and not np.array_equal(moved, labels)
    alone = moved_labels.moved(MASKS, MAPS, shown, INDEX, 5, pictures)
    assert np.array_equal(moved[:, :-1], alone.reshape(COUNT, -1))


def test_masks_and_points_move_as_alone_beside_values() -> None:
    """Side by side all labels are floats: the mask is one of whole numbers where it moves; a vector has no label."""
    tasks = {"map": Segmentation(), "points": Regression(points=True), "size": Regression()}
    labelled: dict[str, Labelled] = {"map": "whole", "points": "values", "size": "values", "vector": "none"}
    heads = Heads({"map": (4, HEIGHT, WIDTH), "points": 6, "size": 1, "vector": 5}, tasks, labelled=labelled)
    points, size = PLACES.reshape(COUNT, -1).astype(np.float32), np.linspace(-1, 1, COUNT, dtype=np.float32)[:, None]
    labels = np.concatenate([MASKS.reshape(COUNT, -1), points, size], axis=1, dtype=np.float32)
    pictures = np.zeros((COUNT, HEIGHT, WIDTH, 1), np.uint8)
    shown = views(*MOVING[:2])
    moved = moved_labels.moved(labels, heads, shown, INDEX, 5, pictures)
    assert moved.dtype == np.float32 and moved.shape == labels.shape
    mask, at, sizes = (heads.labels_of(moved, name) for name in tasks)
    assert mask is not None and mask.dtype == np.int64 and IGNORED in mask
    np.testing.assert_array_equal(mask, moved_labels.moved(MASKS, MAPS, shown, INDEX, 5, pictures).reshape(COUNT, -1))
    np.testing.assert_array_equal(at, moved_labels.moved(points, POINTS, shown, INDEX, 5, pictures))
    np.testing.assert_array_equal(sizes, size)
    moved_labels.check(labels, heads, shown, pictures)


def test_a_feed_shows_labels_as_its_views_show_samples() -> None:
    pictures = (MASKS + 1).astype(np.uint8)[..., None]
    part = Split(pictures, MASKS)
    data = Dataset(part, part, part, tuple("abcd"), ())
    feed = Feed(data, (), Augment(flip=True, crop=2, views=8), 1, heads=MAPS)
    feed.check_views()
    some = np.array([4, 1])
    seen = feed.raw_view(3, some)[..., 0].astype(np.int64) - 1
    labels = feed.view_labels(3, some), Feed(data, (), Augment(flip=True), 1).view_labels(3, some)
    assert labels[0] is not None and np.array_equal(labels[0], np.where(seen < 0, IGNORED, seen))
    assert labels[1] is not None and np.array_equal(labels[1], MASKS[some]), "without heads nothing moves"


@dataclass(frozen=True)
class Turned:
    """An augmentation of a user's own that does not say what it does to places."""

    reads: ClassVar[frozenset[str]] = frozenset({"images"})

    def __call__(self, x: np.ndarray, draws: object) -> np.ndarray:
        return x[:, ::-1].copy()


@dataclass(frozen=True)
class Odd(Turned):
    """One whose masks are of another size."""

    def masks(self, masks: np.ndarray, draws: object) -> np.ndarray:
        return masks[:, 1:]

    def points(self, points: np.ndarray, draws: object, size: tuple[int, int]) -> np.ndarray:
        return points


REFUSED: list[tuple[dict[str, Any], Heads, type[Exception], str]] = [
    ({"kind": "mixup"}, MAPS, RecipeError, r"augment\.ops\[0\]: labels of places.*found 'mixup'"),
    ({"kind": f"{__name__}:Turned"}, MAPS, RecipeError, r"augment\.ops\[0\]: labels of places"),
    ({"kind": f"{__name__}:Odd"}, MAPS, FactoryError, r"gives other labels; found \(4, 6, 9\)"),
    ({"kind": "flip"}, POINTS, RecipeError, r"mirrored points change places"),
    ({"kind": "flip", "swap": [[0, 3]]}, POINTS, RecipeError, r"no such point; found 3; allowed: 0 to 2"),
    ({"kind": "flip", "swap": [[0, 1], [1, 2]]}, POINTS, RecipeError, r"swap: allowed are pairs"),
]


@pytest.mark.parametrize(("table", "heads", "error", "message"), REFUSED)
def test_what_would_part_labels_and_pictures_is_refused(
    table: dict[str, Any], heads: Heads, error: type[Exception], message: str
) -> None:
    pictures = np.zeros((COUNT, HEIGHT, WIDTH, 1), np.uint8)
    labels = MASKS if heads is MAPS else PLACES.reshape(COUNT, 6).astype(np.float32)
    with pytest.raises(error, match=message):
        moved_labels.check(labels, heads, views(table), pictures)


def test_masks_of_another_size_than_their_pictures_do_not_move_with_them() -> None:
    pictures = np.zeros((COUNT, 2 * HEIGHT, 2 * WIDTH, 1), np.uint8)
    with pytest.raises(RecipeError, match=r"masks of another size; found \(7, 9\); allowed: \(14, 18\)"):
        moved_labels.check(MASKS, MAPS, views(MOVING[1]), pictures)
    moved_labels.check(MASKS, MAPS, views(MOVING[2]), pictures)
