"""Pictures of any size made one size: the op ``resize`` gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekd.base import plugins, preprocess
from edgekd.base.errors import DataError, RecipeError
from edgekd.learn.data import _fitting
from edgekd.learn.data._fitting import Fit, Interpolation

SIDES = st.integers(1, 40)
FILTERS = get_args(Interpolation)


def applied(image: np.ndarray, **op: Any) -> np.ndarray:
    return preprocess.apply([op], image[None])["input"][0]


@given(size=st.tuples(SIDES, SIDES), wanted=st.tuples(SIDES, SIDES), name=st.sampled_from(FILTERS), grey=st.booleans())
@settings(max_examples=80, deadline=None)
def test_it_is_what_the_ops_make(size: tuple[int, int], wanted: tuple[int, int], name: str, grey: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 1 if grey else 3), dtype=np.uint8)
    picture = Image.fromarray(image[..., 0] if grey else image)
    found = {fit: _fitting.fitted(picture, wanted, name, fit, "a.png") for fit in get_args(Fit)}
    assert {array.shape for array in found.values()} == {(*wanted, image.shape[2])}
    where: dict[str, Any] = {"height": wanted[0], "width": wanted[1], "interpolation": name}
    assert np.array_equal(found["stretch"], applied(image, op="resize", **where))
    assert np.array_equal(found["letterbox"], applied(image, op="letterbox", **where))
    high, wide = _fitting.covering(size, wanted)
    assert (high == wanted[0] or wide == wanted[1]) and high >= wanted[0] and wide >= wanted[1]
    covered = applied(image, op="resize", height=high, width=wide, interpolation=name).astype(np.uint8)
    assert np.array_equal(found["crop"], applied(covered, op="crop", height=wanted[0], width=wanted[1]))


def test_what_is_too_thin_to_be_cropped_is_told() -> None:
    """One pixel wide and 65,000 long, to cover 4,096 x 4,096 it would have 10^12."""
    with pytest.raises(DataError, match=r"a.png: too long and thin to be cropped.*pixels"):
        _fitting.fitted(Image.new("L", (1, 65_000)), (4096, 4096), "bilinear", "crop", "a.png")


@pytest.mark.parametrize("source", ["imagefolder", "webdataset", "arrow"])
def test_sources_say_how(source: str) -> None:
    table = {"kind": source, "path": ".", "size": [8, 9], "interpolation": "bicubic", "fit": "crop"}
    plugins.build("data", table, "data")
    with pytest.raises(RecipeError, match=r"data.interpolation: .*bicubic"):
        plugins.build("data", {**table, "interpolation": "cubic"}, "data")
    with pytest.raises(RecipeError, match=r"data.fit: allowed is none where no size is said"):
        plugins.build("data", {"kind": source, "path": ".", "fit": "crop"}, "data")
    with pytest.raises(RecipeError, match=r"data.fit: .*letterbox"):
        plugins.build("data", {**table, "fit": "cover"}, "data")


def test_a_folder_of_pictures_in_several_sizes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, size in enumerate([(9, 14), (20, 9), (12, 12), (8, 30)] * 3):
        place = tmp_path / "ab"[i % 2] / f"{i}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(place)
    table = {"kind": "imagefolder", "path": str(tmp_path), "size": [8, 8], "test": 0.25, "validation": 0.25}
    seen: dict[str, np.ndarray] = {}
    for fit in get_args(Fit):
        for lazy in (False, True):
            own = {**table, "fit": fit, "interpolation": "bicubic", "lazy": lazy, "workers": 0}
            x = np.asarray(plugins.build("data", own, "data").load().train.x)
            assert x.shape[1:] == (8, 8, 3) and np.array_equal(seen.setdefault(fit, x), x)
    assert not np.array_equal(seen["stretch"], seen["crop"]) and not np.array_equal(seen["crop"], seen["letterbox"])
