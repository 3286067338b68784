"""A view is a function of (seed, sample, v) and of nothing else; what a recipe asks for is done in its order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import FactoryError, RecipeError
from edgekd.learn.views import Draws, Views
from edgekd.spec.recipe import Augment

X = np.random.default_rng(0).integers(0, 256, (20, 6, 7, 3), dtype=np.uint8)
MINE = f"{__name__}:"


def views(seed: int = 0, **keys: Any) -> Views:
    return Views.of(Augment(**keys), seed)


@given(seed=st.integers(0, 2**32 - 1), view=st.integers(0, 1023), order=st.permutations(range(20)))
@settings(max_examples=50, deadline=None)
def test_any_batch_and_any_order_gives_the_same_view(seed: int, view: int, order: list[int]) -> None:
    shown = views(seed, flip=True, crop=2, ops=[{"kind": "erase"}, {"kind": "colour"}])
    whole, shuffled = shown.apply(X, np.arange(20), view), np.array(order)
    assert np.array_equal(shown.apply(X, shuffled, view), whole[shuffled])
    assert np.array_equal(shown.apply(X, np.arange(3, 5), view), whole[3:5])


def test_flip_and_crop_give_the_bytes_that_they_gave_before_there_were_others() -> None:
    x = (np.arange(12 * 6 * 7 * 3) % 251).astype(np.uint8).reshape(12, 6, 7, 3)
    digest, keys = hashlib.sha256(), ({"flip": True}, {"crop": 2}, {"flip": True, "crop": 3})
    for key in keys:
        for view in range(3):
            digest.update(views(5, **key).apply(x, np.arange(12), view).tobytes())
    assert digest.hexdigest() == "2cb0cf2c14aef1ae2d321327b7f1930886828620fdfebb449c7c4643f6a1092f"


def test_views_differ_and_cover() -> None:
    x = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    shown = views(flip=True, crop=1)
    different = {shown.apply(x, np.zeros(1, np.int64), v).tobytes() for v in range(400)}
    assert len(different) == 18, "3 x 3 crops, mirrored or not"


def test_half_of_the_views_are_mirrored() -> None:
    x = np.broadcast_to(np.arange(2, dtype=np.uint8).reshape(1, 1, 2, 1), (2000, 1, 2, 1))
    share = (views(7, flip=True).apply(x, np.arange(2000), 3)[:, 0, 0, 0] == 1).mean()
    assert 0.45 < share < 0.55


def test_without_augmentation_nothing_changes_and_there_is_one_view() -> None:
    assert np.array_equal(views().apply(X, np.arange(20), 5), X)
    assert views(views=8).count == 1 and views(views=8, flip=True).count == 8


def test_the_same_augmentation_at_two_places_draws_other_numbers() -> None:
    """Else the second flip would always undo the first."""
    x = np.broadcast_to(np.arange(2, dtype=np.uint8).reshape(1, 1, 2, 1), (2000, 1, 2, 1))
    twice = views(flip=True, ops=[{"kind": "flip"}]).apply(x, np.arange(2000), 0)
    assert 0.45 < (twice[:, 0, 0, 0] == 1).mean() < 0.55


def test_ops_are_done_in_their_order() -> None:
    erase, colour = {"kind": "erase", "probability": 1.0, "fill": "zero"}, {"kind": "colour", "brightness": 1.0}
    first, last = (views(ops=ops).apply(X, np.arange(20), 0) for ops in ([erase, colour], [colour, erase]))
    assert (last == 0).mean() > 0.1 and not np.array_equal(first, last)


def test_what_is_drawn_is_even_and_apart() -> None:
    draws = Draws(np.arange(4000, dtype=np.uint64) * np.uint64(2**40))
    one, other = draws.uniform(1), draws.uniform(2)
    assert 0 <= one.min() < 0.01 and 0.99 < one.max() < 1 and abs(one.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    assert np.bincount(draws.integers(3, 4)).min() > 900


@dataclass(frozen=True)
class Inverted:
    """A user's own, of images and of vectors."""

    reads: ClassVar[frozenset[str]] = frozenset({"images", "vectors"})
    top: int = 255

    def __call__(self, x: np.ndarray, draws: Draws) -> np.ndarray:
        return np.asarray(self.top - x, dtype=x.dtype)


@dataclass(frozen=True)
class OfTheBatch(Inverted):
    def __call__(self, x: np.ndarray, draws: Draws) -> np.ndarray:
        return (x - x.min()).astype(x.dtype)


@dataclass(frozen=True)
class OfNumpy(Inverted):
    def __call__(self, x: np.ndarray, draws: Draws) -> np.ndarray:
        return np.random.permutation(256).astype(x.dtype)[x]


@dataclass(frozen=True)
class Smaller(Inverted):
    def __call__(self, x: np.ndarray, draws: Draws) -> np.ndarray:
        return x[:, 1:]


@dataclass(frozen=True)
class AsFloats(Inverted):
    def __call__(self, x: np.ndarray, draws: Draws) -> np.ndarray:
        return x / 255


@dataclass(frozen=True)
class Broken(Inverted):
    def __call__(self, x: np.ndarray, draws: Draws) -> np.ndarray:
        raise KeyError("mine")


@dataclass(frozen=True)
class Mute:
    def __call__(self, x: np.ndarray, draws: Draws) -> np.ndarray:
        return x


def test_a_users_own_is_called_with_its_keys() -> None:
    own = views(ops=[{"kind": MINE + "Inverted", "top": 254}])
    own.check(np.minimum(X, 254), "images")
    assert np.array_equal(own.apply(np.minimum(X, 254), np.arange(2), 0), 254 - np.minimum(X, 254)[:2])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("OfTheBatch", "depends on its batch"),
        ("OfNumpy", "differs each time"),
        ("Smaller", "allowed: uint8 (4, 6, 7, 3)"),
        ("AsFloats", "float64"),
        ("Broken", "raised KeyError"),
    ],
)
def test_what_no_view_may_do_is_told_before_anything_trains(kind: str, words: str) -> None:
    with pytest.raises(FactoryError) as told:
        views(ops=[{"kind": "flip"}, {"kind": MINE + kind}]).check(X, "images")
    assert words in str(told.value) and "augment.ops[1]" in str(told.value)


@pytest.mark.parametrize(
    ("ops", "words"),
    [
        ([{"kind": "ease"}], ("augment.ops[0].kind", "erase")),
        ([{"kind": "erase", "sise": 0.5}], ("augment.ops[0].sise", "size")),
        ([{"kind": "flip"}, {"kind": "erase", "size": 0.0}], ("augment.ops[1].size", "above 0")),
        ([{"kind": MINE + "Mute"}], ("augment.ops[0].kind", "reads")),
    ],
)
def test_what_is_no_augmentation_is_told_with_its_place(ops: list[dict[str, Any]], words: tuple[str, str]) -> None:
    with pytest.raises(RecipeError) as told:
        views(ops=ops)
    assert all(word in str(told.value) for word in words)


def test_samples_of_another_kind_are_told() -> None:
    with pytest.raises(RecipeError, match=r"augment\.crop: crop is for other samples.*vectors: uint8 \(6, 7, 3\)"):
        views(crop=2).check(X, "vectors")
