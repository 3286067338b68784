"""Images of another size are those of Pillow: the same bytes on uint8, and floats within 1e-6."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from edgekd.base import resampling
from edgekd.base.errors import DataError

PILLOWS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
NAMES = st.sampled_from(sorted(PILLOWS))
SIDES = st.integers(1, 40)


def pillows(x: np.ndarray, height: int, width: int, name: str) -> np.ndarray:
    """(H, W) float32, or (H, W, 3) uint8."""
    return np.asarray(Image.fromarray(x).resize((width, height), PILLOWS[name]))


@given(
    x=hnp.arrays(np.uint8, st.tuples(SIDES, SIDES, st.just(3))),
    height=SIDES,
    width=SIDES,
    name=NAMES,
)
@settings(max_examples=200, deadline=None)
def test_bytes_are_pillows(x: np.ndarray, height: int, width: int, name: str) -> None:
    wanted = pillows(x, height, width, name)
    assert np.array_equal(resampling.resized(x[None], height, width, name)[0], wanted)
    one = resampling.resized(x[None, :, :, :1], height, width, name)  # a channel is by itself
    assert np.array_equal(one[0, :, :, 0], wanted[..., 0])


@given(
    x=hnp.arrays(np.float32, st.tuples(SIDES, SIDES), elements=st.floats(-1, 1, width=32)),
    height=SIDES,
    width=SIDES,
    name=NAMES,
)
@settings(max_examples=100, deadline=None)
def test_floats_are_pillows(x: np.ndarray, height: int, width: int, name: str) -> None:
    found = resampling.resized(x[None, :, :, None].astype(np.float64), height, width, name)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, :, :, 0], pillows(x, height, width, name), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PILLOWS)
@pytest.mark.parametrize(("size", "wanted"), [((300, 500), (17, 224)), ((2, 700), (64, 3)), ((900, 3), (2, 70))])
def test_large_ones_are_pillows(name: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """More numbers than are summed at once, and more than a hundred pixels for one."""
    x = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    found = resampling.resized(x, *wanted, name)
    assert all(np.array_equal(one, pillows(part, *wanted, name)) for one, part in zip(found, x, strict=True))


def test_the_rows_come_first_where_pillow_begins_with_them() -> None:
    """Pillow 13 does where more than twice as many rows as columns go: either order alone differs on these."""
    rng = np.random.default_rng(0)
    orders = set()
    for height, width in ((9, 30), (30, 9), (40, 31)):
        x = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        found = resampling.resized(x[None], height, width, "bicubic")[0]
        assert np.array_equal(found, pillows(x, height, width, "bicubic"))
        columns = pillows(pillows(x, 40, width, "bicubic"), height, width, "bicubic")
        rows = pillows(pillows(x, height, 40, "bicubic"), height, width, "bicubic")
        orders.add((np.array_equal(found, columns), np.array_equal(found, rows)))
    assert {(True, False), (False, True)} <= orders
    assert [resampling.rows_first((40, 40), (h, w)) for h, w in ((9, 30), (30, 9), (40, 31))] == [True, False, False]


@pytest.mark.parametrize("name", PILLOWS)
def test_weights_add_up_to_one_and_what_is_flat_stays(name: str) -> None:
    for value in (0, 1, 127, 255):
        flat = np.full((1, 7, 5, 1), value, np.uint8)
        assert (resampling.resized(flat, 11, 3, name) == value).all()
    smooth = resampling.resized(np.full((1, 7, 5, 1), 0.3, np.float32), 3, 13, name)
    np.testing.assert_allclose(smooth, 0.3, rtol=1e-6)


def test_a_batch_is_its_images_and_may_be_empty() -> None:
    x = np.random.default_rng(1).integers(0, 256, (5, 6, 7, 2), dtype=np.uint8)
    whole = resampling.resized(x, 9, 4, "bicubic")
    assert np.array_equal(whole, np.concatenate([resampling.resized(one[None], 9, 4, "bicubic") for one in x]))
    assert resampling.resized(x[:0], 9, 4, "bicubic").shape == (0, 9, 4, 2)
    assert np.array_equal(resampling.resized(x, 6, 7, "bicubic"), x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 3, 3, 1), np.int64), "bilinear takes no such numbers; found 'int64'"),
        (np.zeros((1, 3, 3, 1), bool), "bilinear takes no such numbers"),
        (np.zeros((1, 70_000, 1, 1), np.uint8), "an image too large"),
    ],
)
def test_what_can_not_be_is_told(x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        resampling.resized(x, 2, 2, "bilinear")
