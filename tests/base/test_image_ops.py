"""Ops on images: letterbox, pad, channels; what they refuse."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekd.base import image_ops, preprocess, resampling
from edgekd.base.errors import DataError, RecipeError

SIDES = st.integers(1, 30)


def image(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, height, width, channels), dtype=np.uint8)


@given(high=SIDES, wide=SIDES, height=SIDES, width=SIDES, position=st.sampled_from(image_ops.CHOICES["position"]))
@settings(max_examples=80, deadline=None)
def test_letterbox_is_the_whole_image_in_its_aspect(
    high: int, wide: int, height: int, width: int, position: str
) -> None:
    x = image(high, wide)
    found = image_ops.letterbox(x, height, width, "bicubic", [1, 2, 3], position)
    tall, broad = image_ops.inside((high, wide), (height, width))
    assert found.shape == (2, height, width, 3) and (tall == height or broad == width)
    scale = min(height / high, width / wide)
    assert abs(tall - max(1, scale * high)) <= 0.5 + 1e-9 and abs(broad - max(1, scale * wide)) <= 0.5 + 1e-9
    top, left = ((height - tall) // 2, (width - broad) // 2) if position == "middle" else (0, 0)
    wanted = Image.fromarray(x[1]).resize((broad, tall), Image.Resampling.BICUBIC)
    assert np.array_equal(found[1, top : top + tall, left : left + broad], np.asarray(wanted))
    around = np.ones((height, width), bool)
    around[top : top + tall, left : left + broad] = False
    assert (found[:, around] == [1, 2, 3]).all()


@given(high=SIDES, wide=SIDES, multiple=SIDES, aspect=st.tuples(SIDES, SIDES))
@settings(max_examples=80, deadline=None)
def test_pad_goes_as_far_as_it_must(high: int, wide: int, multiple: int, aspect: tuple[int, int]) -> None:
    x = image(high, wide, 1)
    made = image_ops.pad(x, multiple=multiple, position="top_left", value=7)
    assert made.shape[1:3] == tuple(math.ceil(side / multiple) * multiple for side in (high, wide))
    assert np.array_equal(made[:, :high, :wide], x)
    assert made.sum(dtype=np.int64) == x.sum(dtype=np.int64) + 7 * (made.size - x.size)
    tall, broad = image_ops.pad(x, aspect=aspect).shape[1:3]
    assert (tall, broad) >= (high, wide) and (tall == high or broad == wide)
    assert abs(tall * aspect[1] - broad * aspect[0]) < max(aspect), "the aspect but for less than a pixel"


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int16])
def test_pad_keeps_type_and_pixels(dtype: Any) -> None:
    x = image(3, 4).astype(dtype)
    made = image_ops.pad(x, 6, 9, value=[0, 114, 9])
    assert made.dtype == dtype and np.array_equal(made[:, 1:4, 2:6], x) and made[0, 0, 0].tolist() == [0, 114, 9]


def test_crop_begins_where_it_is_told() -> None:
    x = image(9, 8)
    assert np.array_equal(image_ops.crop(x, 4, 5, top=5, left=0), x[:, 5:, :5])
    assert np.array_equal(image_ops.crop(x, 4, 5, left=3), x[:, 2:6, 3:])
    with pytest.raises(DataError, match="crop is larger than the image"):
        image_ops.crop(x, 4, 5, top=6)


def test_bgr_is_the_other_order() -> None:
    x = image(2, 3)
    assert np.array_equal(image_ops.bgr(x)[..., 2], x[..., 0]) and np.array_equal(image_ops.bgr(image_ops.bgr(x)), x)


OPS: list[list[dict[str, Any]]] = [
    [{"op": "resize", "height": 8, "width": 3, "interpolation": "bilinear"}],
    [{"op": "letterbox", "height": 9, "width": 4, "interpolation": "bicubic", "value": 114}, {"op": "bgr"}],
    [{"op": "crop", "height": 4, "width": 4}, {"op": "pad", "aspect": [3, 4]}, {"op": "pad", "multiple": 5}],
]


@pytest.mark.parametrize("ops", OPS)
def test_what_a_pipeline_needs_is_known_before_it_runs(ops: list[dict[str, Any]]) -> None:
    preprocess.check(ops, "data.preprocess")
    found = preprocess.apply(ops, image(6, 7))["input"]
    size = (6, 7)
    for op in ops:
        size = image_ops.size_after(op, size)
    assert found.shape == (2, *size, 3)
    assert preprocess.largest(ops, (6, 7, 3)) >= found[0].size
    assert preprocess.resolved(json.loads(preprocess.to_json(ops)), str.encode) == ops


@given(high=SIDES, wide=SIDES, height=SIDES, width=SIDES)
@settings(max_examples=200, deadline=None)
def test_between_two_passes_an_image_takes_no_more_room(high: int, wide: int, height: int, width: int) -> None:
    """Else a strip of 65,536 rows, made as wide before it is made low, would be 2^32 numbers."""
    between = height * wide if resampling.rows_first((high, wide), (height, width)) else high * width
    assert between <= max(high * wide, height * width)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ({"op": "pad"}, r"d\[0\]: pad needs one way to say its size"),
        ({"op": "pad", "height": 3}, "one way to say its size"),
        ({"op": "pad", "multiple": 2, "height": 3, "width": 3}, "one way to say its size"),
        ({"op": "pad", "multiple": 0}, r"d\[0\].multiple: out of range; found 0"),
        ({"op": "pad", "aspect": [1]}, r"aspect: malformed; found \[1\].*height, width"),
        ({"op": "pad", "aspect": [1, True]}, "aspect: malformed"),
        ({"op": "pad", "multiple": 2, "value": "white"}, "value: not finite numbers"),
        ({"op": "pad", "multiple": 2, "value": []}, "value: not finite numbers"),
        ({"op": "pad", "multiple": 2, "position": "center"}, r"unknown position.*middle, top_left"),
        ({"op": "resize", "height": 2, "width": 2, "interpolation": "bicubik"}, r"interpolation.*mean 'bicubic'"),
        ({"op": "resize", "height": 2, "width": 2, "interpolation": ["bicubic"]}, "unknown interpolation"),
        ({"op": "resize", "height": 2, "width": 2, "value": 3}, "unknown key of 'resize'.*interpolation"),
        ({"op": "letterbox", "height": 60_000, "width": 60_000}, "larger than likely is meant"),
        ({"op": "crop", "height": 2, "width": 2, "top": -1}, r"top: out of range; found -1; allowed: .*0 to 65535"),
        ({"op": "bgr", "order": "bgr"}, "unknown key of 'bgr'"),
    ],
)
def test_malformed_ops_are_refused(op: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        preprocess.check([op], "d")


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        ({"op": "pad", "height": 2, "width": 9}, (4, 4, 3), r"pad to less than the image; found \(4, 4\)"),
        ({"op": "pad", "multiple": 5, "value": 256}, (4, 4, 3), "value is no pixel; found 256; allowed: uint8"),
        ({"op": "pad", "multiple": 5, "value": 0.5}, (4, 4, 3), "value is no pixel"),
        ({"op": "pad", "multiple": 5, "value": [1, 2]}, (4, 4, 3), "2 numbers, 3 channels"),
        ({"op": "pad", "aspect": [60_000, 1]}, (1, 60_000, 1), "larger than likely is meant"),
        ({"op": "bgr"}, (4, 4, 1), "bgr takes three channels; found 1"),
        ({"op": "letterbox", "height": 4, "width": 4}, (0, 4, 1), "an image without pixels"),
        ({"op": "resize", "height": 4, "width": 4}, (4, 0, 1), "an image without pixels"),
        ({"op": "resize", "height": 4, "width": 4, "interpolation": "box"}, (4, 0, 1), "an image without pixels"),
        ({"op": "letterbox", "height": 4, "width": 4}, (4,), "letterbox takes images"),
    ],
)
def test_ops_that_do_not_fit_the_image(op: dict[str, Any], shape: tuple[int, ...], message: str) -> None:
    preprocess.check([op], "d")
    with pytest.raises(DataError, match=message):
        preprocess.apply([op], np.zeros((1, *shape), np.uint8))
    with pytest.raises(DataError, match=message):
        preprocess.check_sample([op], shape, "uint8")


def test_largest_takes_shapes_without_pixels_or_axes() -> None:
    for shape in ((), (0,), (0, 0, 1), (5, 0, 2)):
        assert preprocess.largest([op for ops in OPS for op in ops], shape) >= 0
