"""The preprocessing ops: fixed order, float32 or integer steps, the same in any batch."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekd.base import batches, preprocess
from edgekd.base.errors import DataError, RecipeError, UsageError

IMAGES = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
)
NO_FILES: dict[str, bytes] = {}
OPS: list[dict[str, Any]] = [
    {"op": "scale", "divide": 255.0},
    {"op": "normalise", "mean": [0.4], "std": [0.3]},
    {"op": "layout"},
]


def apply(ops: list[dict[str, Any]], x: np.ndarray) -> np.ndarray:
    """The one array that most pipelines give."""
    [(name, found)] = preprocess.apply(ops, x).items()
    assert name == "input"
    return found


@given(x=IMAGES, height=st.integers(1, 12), width=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_its_samples(x: np.ndarray, height: int, width: int) -> None:
    ops = [{"op": "resize", "height": height, "width": width}, *OPS]
    whole = apply(ops, x)
    assert whole.dtype == np.float32 and whole.flags.c_contiguous
    assert whole.shape == (len(x), x.shape[3], height, width)
    assert np.array_equal(whole, np.concatenate([apply(ops, x[i : i + 1]) for i in range(len(x))]))
    [spec] = preprocess.specs(ops, x[0])
    assert spec == preprocess.Spec("input", (None, *whole.shape[1:]))


@given(x=IMAGES)
@settings(max_examples=30, deadline=None)
def test_scale_and_normalise_are_single_float32_steps(x: np.ndarray) -> None:
    wanted = (x.astype(np.float32) / np.float32(255)).astype(np.float32)
    wanted = ((wanted - np.float32(0.4)) / np.float32(0.3)).transpose(0, 3, 1, 2)
    assert np.array_equal(apply(OPS, x), wanted)


@given(x=IMAGES)
@settings(max_examples=30, deadline=None)
def test_resize_to_the_same_size_changes_nothing(x: np.ndarray) -> None:
    ops = [{"op": "resize", "height": x.shape[1], "width": x.shape[2]}]
    assert np.array_equal(apply(ops, x), x.astype(np.float32))


def test_grey_is_the_documented_integer_formula() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    got = apply([{"op": "grey"}], x)[..., 0]
    r, g, b = (x[..., c].astype(int) for c in range(3))
    assert np.array_equal(got, (77 * r + 150 * g + 29 * b + 128) >> 8)


def test_edges_are_the_documented_integer_formula() -> None:
    x = np.random.default_rng(0).integers(0, 256, (1, 5, 4, 1), dtype=np.uint8)
    p = np.pad(x[0, :, :, 0].astype(int), 1, mode="edge")
    for y in range(5):
        for c in range(4):
            a = sum(k * (p[y + i, c + 2] - p[y + i, c]) for i, k in enumerate((1, 2, 1)))
            b = sum(k * (p[y + 2, c + i] - p[y, c + i]) for i, k in enumerate((1, 2, 1)))
            assert apply([{"op": "edges"}], x)[0, y, c, 0] == (abs(a) + abs(b)) >> 3


def test_columns_become_inputs_by_name() -> None:
    ops = [{"op": "columns", "names": ["user", "item"], "sizes": [5, 9], "widths": [1, 2]}]
    preprocess.check(ops, "data.preprocess")
    found = preprocess.apply(ops, np.array([[1, 8, 0, 77], [4, 0, 2, 77]], np.int32))
    assert list(found) == ["user", "item"]
    assert found["item"].tolist() == [[8, 0], [0, 2]] and found["user"].tolist() == [1, 4]
    assert found["user"].dtype == np.int64 and preprocess.raw_shape(ops, (4,)) == (3,)
    specs = preprocess.specs(ops, np.array([1, 8, 0, 77]))
    assert [(spec.shape, spec.dtype, spec.high) for spec in specs] == [((None,), "int64", 5), ((None, 2), "int64", 9)]
    with pytest.raises(DataError, match=r"unknown item.*found 9.*0 to 8"):
        preprocess.apply(ops, np.array([[1, 9, 0]]))


def test_parts_become_inputs_of_any_shape_and_whole_numbers_stay_whole() -> None:
    ops = [{"op": "parts", "names": ["image", "user"], "sizes": [0, 5], "shapes": [[2, 1], []]}]
    preprocess.check(ops, "data.preprocess")
    found = preprocess.apply(ops, np.array([[0.5, -1.0, 4.0, 77.0]]))
    assert {name: x.tolist() for name, x in found.items()} == {"image": [[[0.5], [-1.0]]], "user": [4.0]}
    specs = preprocess.specs(ops, np.zeros(4, np.float32))
    assert [(spec.shape, spec.high) for spec in specs] == [((None, 2, 1), None), ((None,), 5)]
    assert {spec.dtype for spec in specs} == {"float32"} and preprocess.raw_shape(ops, (4,)) == (3,)
    for odd in (5.0, -1.0, 0.5, np.nan):
        with pytest.raises(DataError, match=r"unknown user.*0 to 4"):
            preprocess.apply(ops, np.array([[0.5, -1.0, odd]]))
    with pytest.raises(DataError, match="parts takes numbers"):
        preprocess.apply(ops, np.zeros((1, 2)))


def test_crop_takes_the_middle() -> None:
    x = np.arange(25, dtype=np.uint8).reshape(1, 5, 5, 1)
    assert apply([{"op": "crop", "height": 3, "width": 1}], x)[0, :, 0, 0].tolist() == [7, 12, 17]


def test_json_round_trip() -> None:
    assert preprocess.resolved(json.loads(preprocess.to_json(OPS)), NO_FILES.__getitem__) == OPS


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (3, 8, 8), (3, 8, 8, 1)])
def test_samples_and_batches_are_told_apart(shape: tuple[int, ...]) -> None:
    batch, one = batches.batched(np.zeros(shape), (8, 8, 1))
    assert batch.shape[1:] == (8, 8, 1) and one == (shape[0] == 8)


@pytest.mark.parametrize("x", [np.zeros((7, 8)), np.zeros((2, 2, 8, 8, 1)), np.array("text"), [[1, 2], [3]]])
def test_wrong_shapes_are_refused(x: Any) -> None:
    with pytest.raises(UsageError):
        batches.batched(x, (8, 8, 1))


@pytest.mark.parametrize(
    "ops",
    [
        [{"op": "scale"}],
        [{"op": "scale", "divide": 0}],
        [{"op": "scale", "divide": float("nan")}],
        [{"op": "scale", "divide": 2.0, "by": 3}],
        [{"op": "crop", "height": 0, "width": 1}],
        [{"op": "layout"}, {"op": "layout"}],
        [{"op": "scale", "divide": 10**400}],
        [{"op": "scale", "divide": 1e-60}],
        [{"op": "scale", "divide": [1.0, 2.0]}],
        [{"op": "columns", "names": ["a"], "sizes": ["b"], "widths": [1]}],
        [{"op": "columns", "names": ["a"], "sizes": [2, 2], "widths": [1]}],
        [{"op": "columns", "names": ["a", "a"], "sizes": [2, 2], "widths": [1, 1]}],
        [{"op": "columns", "names": ["a"], "sizes": [2], "widths": [-1]}],
        *(
            [{"op": "parts", "names": ["a"], "sizes": [size], "shapes": shapes}]
            for size, shapes in ((-1, [[2]]), (0, []), (0, [2]), (0, [[0]]), (0, [[2.0]]), (0, "ab"), (0, [[2], [2]]))
        ),
        [{"op": ["scale"]}],
        [{}],
    ],
)
def test_malformed_pipelines_are_refused(ops: list[dict[str, Any]]) -> None:
    with pytest.raises(RecipeError):
        preprocess.check(ops, "data.preprocess")


def test_texts_take_no_room_for_each_other_and_no_op_but_wordpiece() -> None:
    texts, one = batches.batched(["short"] * 99 + ["long" * 100_000], ())
    assert not one and texts.nbytes < 10_000
    word = {"op": "wordpiece", "vocabulary": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "length": 3, "lower": True}
    assert np.array_equal(preprocess.apply([word], texts)["input_ids"], [[2, 1, 3]] * 100)
    for ops in ([], OPS[:2], [OPS[0], word]):
        with pytest.raises(DataError, match="texts need the op wordpiece"):
            preprocess.apply(ops, texts)
    with pytest.raises(DataError, match="wordpiece takes texts"):
        preprocess.apply([word], np.array([3, "a"], dtype=object))


def test_sounds_that_are_not_int16_samples_are_told() -> None:
    ops = [{"op": "scale", "divide": 32768.0}]
    clip = np.sin(np.arange(100)).astype(np.float32)
    for gain in (1.0, 1.3):  # a resampler goes beyond 1
        with pytest.raises(DataError, match="scaled already"):
            preprocess.apply(ops, (gain * clip)[None])
    for dtype in (np.int8, np.uint8):
        with pytest.raises(DataError, match="8 bits"):
            preprocess.apply(ops, (100 + 20 * clip)[None].astype(dtype))
    for whole in (np.zeros((1, 9), np.float32), np.array([[0.0, 1.0, -1.0]]), np.array([[0, 1]])):
        assert np.array_equal(apply(ops, whole), (whole / 32768).astype(np.float32)), "all but silence, as recorded"


def test_pictures_may_be_divided_by_as_much_as_sounds_are() -> None:
    x = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4, 1)
    assert np.array_equal(apply([{"op": "scale", "divide": 65535.0}], x), x / np.float32(65535))


def test_ops_that_do_not_fit_the_image() -> None:
    x = np.zeros((1, 4, 4, 1), np.uint8)
    for op in (
        {"op": "grey"},
        {"op": "crop", "height": 5, "width": 5},
        {"op": "normalise", "mean": [0, 0], "std": [1]},
    ):
        with pytest.raises(DataError):
            apply([op], x)
