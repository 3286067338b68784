"""What every augmentation keeps, found by its file."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.views import RAW, Draws, Mix, Views
from edgekd.spec.recipe import Augment

KINDS = plugins.kinds("views")
COUNT = 9
rng = np.random.default_rng(0)
# Samples of every kind and type that a data source may give; images with each count of channels.
SAMPLES: dict[str, list[np.ndarray]] = {
    "images": [
        *(rng.integers(0, 256, (COUNT, 7, 9, channels), dtype=np.uint8) for channels in (1, 3, 4)),
        rng.integers(0, 17, (COUNT, 8, 8, 1), dtype=np.uint8),
        rng.random((COUNT, 9, 7, 3), dtype=np.float32),
        rng.integers(-999, 999, (COUNT, 1, 1, 3), dtype=np.int16),
    ],
    "sounds": [rng.integers(-(2**15), 2**15, (COUNT, 50), dtype=np.int16)],
    "texts": [np.array([f"the text number {i}" for i in range(COUNT)])],
    "vectors": [rng.standard_normal((COUNT, 5)).astype(np.float32)],
    "codes": [rng.integers(0, 5, (COUNT, 3))],
}
DRAWS = Draws(np.arange(COUNT, dtype=np.uint64) * np.uint64(2**50 + 1))
MIXES = [kind for kind in KINDS if isinstance(plugins.build("views", {"kind": kind}, "test"), Mix)]
# The strongest of each: what a default leaves alone is looked at, too.
STRONG: dict[str, dict[str, Any]] = {
    "colour": {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0},
    "erase": {"probability": 1.0, "size": 1.0},
    "crop": {"padding": 64},
    "mixup": {"alpha": 0.1},
    "cutmix": {"alpha": 100.0, "probability": 1.0},
    "word_drop": {"probability": 1.0},
    "word_span": {"probability": 1.0, "shortest": 0.01},
}


def tables(kind: str) -> list[dict[str, Any]]:
    return [{"kind": kind}, *([{"kind": kind, **STRONG[kind]}] if kind in STRONG else [])]


def reads(kind: str) -> frozenset[str]:
    kinds: frozenset[str] = plugins.load("views", kind, "test").reads
    return kinds


EVERY = [(table, x) for kind in KINDS for table in tables(kind) for raw in sorted(reads(kind)) for x in SAMPLES[raw]]
each = pytest.mark.parametrize(
    ("table", "x"), EVERY, ids=[f"{t['kind']}{len(t)}-{x.dtype}{x.shape[1:]}" for t, x in EVERY]
)


def views(table: dict[str, Any], seed: int = 0) -> Views:
    return Views.of(Augment(ops=(table,), views=1024), seed)


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_frozen_dataclass_that_says_what_it_reads(kind: str) -> None:
    cls = plugins.load("views", kind, "test")
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert cls.__doc__ and reads(kind) and reads(kind) <= {*RAW}
    assert plugins.build("views", {"kind": kind}, "test") == cls(), "it works as it is"


@each
@given(seed=st.integers(0, 2**32 - 1), view=st.integers(0, 1023), order=st.permutations(range(COUNT)))
@settings(max_examples=8, deadline=None)
def test_a_view_is_the_same_in_any_batch_and_any_order(
    table: dict[str, Any], x: np.ndarray, seed: int, view: int, order: list[int]
) -> None:
    whole = views(table, seed).apply(x, np.arange(COUNT), view)
    for index in ([*order], order[:3], order[-1:], [order[0], order[0]]):
        assert np.array_equal(views(table, seed).apply(x, np.array(index), view), whole[index])


@each
def test_samples_keep_their_type_and_shape_and_stay_as_they_are(table: dict[str, Any], x: np.ndarray) -> None:
    view, given = plugins.build("views", table, "test"), x.copy()
    given.flags.writeable = False
    partners = (given[::-1],) if table["kind"] in MIXES else ()
    shown = view(given, DRAWS, *partners)
    assert shown.shape == x.shape and shown.dtype == x.dtype
    assert shown.dtype.kind != "f" or np.isfinite(shown).all()


@each
def test_it_passes_what_is_tried_before_anything_trains(table: dict[str, Any], x: np.ndarray) -> None:
    views(table).check(x, next(iter(reads(table["kind"]))))


@each
def test_it_does_something_and_not_always_the_same(table: dict[str, Any], x: np.ndarray) -> None:
    different = {views(table).apply(x, np.arange(1), view).tobytes() for view in range(40)}
    assert len(different) > 1 or x[0].size <= x.shape[-1], "of a single pixel little can be changed"
    assert views(table, 1).apply(x, np.arange(COUNT), 0).tobytes() != x.tobytes() or x[0].size <= x.shape[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_other_samples_are_told(kind: str) -> None:
    others = sorted({*RAW} - reads(kind))
    for raw in others:
        with pytest.raises(RecipeError, match=rf"augment\.ops\[0\].*{kind}"):
            views({"kind": kind}).check(SAMPLES[raw][0], raw)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", ["much", -1.5, float("nan"), 1000.0, 10**6])
def test_a_value_out_of_range_is_told_with_its_key(kind: str, wrong: object) -> None:
    for field in dataclasses.fields(plugins.load("views", kind, "test")):
        with pytest.raises(RecipeError, match=rf"augment\.ops\[0\]\.{field.name}"):
            views({"kind": kind, field.name: wrong})


def test_those_that_mix_are_known_by_their_coefficient() -> None:
    assert {*MIXES} == {"mixup", "cutmix"}


@pytest.mark.parametrize(("table", "x"), [(t, x) for t, x in EVERY if t["kind"] in MIXES])
def test_a_mixed_view_is_of_its_partner_by_its_coefficient(table: dict[str, Any], x: np.ndarray) -> None:
    """Of samples of zeros and of ones the mean is what the labels are mixed by."""
    shown = views(table)
    ones = np.arange(COUNT) % 2 == 1
    marked = np.broadcast_to(ones.reshape(-1, *[1] * (x.ndim - 1)), x.shape).astype(x.dtype) * x.dtype.type(100)
    mixture = shown.mixture(x, np.arange(COUNT), 1)
    assert mixture is not None
    means = shown.apply(marked, np.arange(COUNT), 1).reshape(COUNT, -1).mean(axis=1) / 100
    by_labels = mixture.coefficient * ones + (1 - mixture.coefficient) * ones[mixture.partners]
    assert np.allclose(means, by_labels, atol=0.006)
    alone = shown.mixture(x, np.array([4]), 1)
    assert alone is not None and alone.partners[0] == mixture.partners[4]
    assert alone.coefficient[0] == mixture.coefficient[4]
