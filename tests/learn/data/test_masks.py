"""Masks and points as sources read them: pictures of numbers, pairs of numbers, and what is none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekd.base.errors import DataError
from edgekd.learn.data import _masks
from edgekd.learn.data._points import outside
from edgekd.learn.data.made_points import MadePoints
from edgekd.learn.data.made_scenes import MadeScenes
from edgekd.learn.data.npz import Npz
from edgekd.tasks import IGNORED
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (9, 6, 8, 3), dtype=np.uint8)
MASKS = RNG.integers(0, 3, (9, 6, 8), dtype=np.uint8)
MASKS[:, 0] = 3  # unlabelled
NAMES = ("sky", "road", "car", "none")


def encoded(arrays: Any, mode: str | None = None, kind: str = "PNG") -> tuple[np.ndarray, np.ndarray]:
    """Files one after another, and where each begins."""
    files = []
    for array in arrays:
        image = Image.fromarray(array)
        if mode == "P":
            image.putpalette(RNG.integers(0, 256, 768, dtype=np.uint8).tobytes())
        elif mode is not None:
            image = image.convert(mode)
        image.save(out := io.BytesIO(), kind)
        files.append(out.getvalue())
    ends = np.cumsum([0, *map(len, files)])
    return np.frombuffer(b"".join(files), np.uint8), ends


@pytest.mark.parametrize("mode", [None, "P"])
def test_a_pixel_of_a_mask_is_a_number_and_no_colour(mode: str | None) -> None:
    assert np.array_equal(_masks.decode(*encoded(MASKS, mode), "y"), MASKS)


def test_masks_of_16_bits_are_read_as_such() -> None:
    wide = MASKS.astype(np.uint16) * 300
    masks = _masks.decode(*encoded(wide), "y")
    assert masks.dtype == np.uint16 and np.array_equal(masks, wide)


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(DataError, match=r"y: mask 0: a mask in colours; found \"Pillow's mode RGB\""):
        _masks.decode(*encoded(PICTURES), "y")
    with pytest.raises(DataError, match=r"y: mask 0: not a mask: pixels that are not kept; found 'JPEG'"):
        _masks.decode(*encoded(MASKS, kind="JPEG"), "y")
    with pytest.raises(DataError, match=r"y: mask 1: a mask of another size; found \(5, 8\); allowed: \(6, 8\)"):
        _masks.decode(*encoded([MASKS[0], MASKS[1, 1:]]), "y")
    data, ends = encoded(MASKS)
    damaged = data.copy()
    damaged[ends[1] + 40 : ends[2]] = 0
    with pytest.raises(DataError, match="y: mask 1"):
        _masks.decode(damaged, ends, "y")
    with pytest.raises(DataError, match="offsets must rise"):
        _masks.decode(data, ends[::-1], "y")


def written(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


def npz_of(folder: Path, *, packed: bool = False, masks: np.ndarray = MASKS, **arrays: Any) -> Npz:
    """The same pictures and masks, as arrays or as files one after another."""
    if not packed:
        given = {"x_train": PICTURES, "y_train": masks, "x_test": PICTURES[::-1], "y_test": masks[::-1]}
        return Npz(written(folder, **given, **arrays), validation=2)
    given = {}
    for split, step in (("train", 1), ("test", -1)):
        for name, of in (("", PICTURES[::step]), ("_mask", masks[::step])):
            given[f"{split}{name}_bytes"], given[f"{split}{name}_offsets"] = encoded(of)
    keys: dict[str, Any] = {"x_train": "train_bytes", "y_train": "train_mask_bytes", "offsets": "offsets"}
    keys |= {"x_test": "test_bytes", "y_test": "test_mask_bytes"}
    return Npz(written(folder, **given, **arrays), validation=2, **keys)


@pytest.mark.parametrize("packed", [False, True])
def test_npz_reads_masks_as_arrays_and_as_files(tmp_path: Path, packed: bool) -> None:
    source = npz_of(tmp_path, packed=packed, class_names=np.array(NAMES))
    data = source.load(Segmentation(ignore=3))
    assert data.classes == NAMES[:3] and len(data.train) == 7 and len(data.validation) == 2
    wanted = np.where(MASKS[::-1] == 3, IGNORED, MASKS[::-1].astype(np.int64))
    assert data.test.y is not None and data.test.y.shape == (9, 6, 8) and np.array_equal(data.test.y, wanted)
    assert data.heads_of(Segmentation(ignore=3)).shapes == {"logits": (3, 6, 8)}


def test_a_class_that_is_ignored_may_stand_anywhere(tmp_path: Path) -> None:
    data = npz_of(tmp_path, class_names=np.array(NAMES)).load(Segmentation(ignore=1))
    assert data.classes == ("sky", "car", "none") and data.test.y is not None
    wanted = np.array([0, IGNORED, 1, 2])[MASKS[::-1]]
    assert np.array_equal(data.test.y, wanted)
    alone = npz_of(tmp_path).load(Segmentation(ignore=3))
    assert alone.classes == ("0", "1", "2"), "names that nobody gave are the numbers"


WRONG: list[tuple[Any, Any, str]] = [
    (np.where(MASKS == 2, 7, MASKS), NAMES, r"data\.y_train: sample \d: a label that is no class; found '7 at x \d"),
    (MASKS.astype(np.float32), NAMES, r"data\.y_train: sample 0: labels are masks; found 'float32 \(9, 6, 8\)'"),
    (MASKS[:, 0], NAMES, r"data\.y_train: sample 0: labels are masks; found 'uint8 \(9, 8\)'"),
    (MASKS[:8], NAMES, r"data\.y_train: as many labels as samples are needed; found \(8, 6, 8\)"),
    (np.full_like(MASKS, 3), NAMES, r"one class only"),
]


def test_masks_of_0_and_255_are_told_what_255_is(tmp_path: Path) -> None:
    masks = np.where(MASKS == 1, 255, 0).astype(np.uint8)
    given = {"x_train": PICTURES, "y_train": masks, "x_test": PICTURES, "y_test": masks}
    with pytest.raises(
        DataError, match=r"one class only; .*pixels of 255 have no label \(task\.ignore\): masks of 0 and"
    ):
        Npz(written(tmp_path, **given), validation=2, classes="").load(Segmentation())


@pytest.mark.parametrize(
    ("factor", "names", "message"),
    [
        (300, None, r"masks whose numbers have gaps; found '2 of 301 numbers: 0, 300'; .*data\.values = \[0, 300\]"),
        (128, None, r"masks whose numbers have gaps; .*data\.values = \[0, 128\]"),
        (1000, None, r"found '2 of 1,001 numbers: 0, 1000'"),
        (255, ("bg", "fg"), r"one class only; found \['bg'\]; .*pixels of 255 have no label"),
        (128, ("bg", "fg"), r"a label that is no class; .*data\.values = \[0, 128\]"),
    ],
)
def test_numbers_of_masks_with_gaps_are_told(tmp_path: Path, factor: int, names: Any, message: str) -> None:
    masks = (MASKS == 1).astype(np.uint16) * np.uint16(factor)
    given = {"x_train": PICTURES, "y_train": masks, "x_test": PICTURES, "y_test": masks}
    path = written(tmp_path, **given, **({"class_names": np.array(names)} if names else {}))
    with pytest.raises(DataError, match=message):
        Npz(path, validation=2).load(Segmentation())


@pytest.mark.parametrize("numbers", [(0, 1), (0, 2), (1, 2), (0, 1, 4), (0, 9)])
def test_a_few_numbers_that_no_pixel_is_are_classes(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    masks = np.array(numbers, np.uint8)[MASKS % len(numbers)]
    given = {"x_train": PICTURES, "y_train": masks, "x_test": PICTURES, "y_test": masks}
    data = Npz(written(tmp_path, **given), validation=2).load(Segmentation())
    assert len(data.classes) == max(numbers) + 1
    told = [note for note in data.notes if "2 of 10 numbers: 0, 9" in note and "data.values = [0, 9]" in note]
    assert len(told) == (numbers == (0, 9))


@pytest.mark.parametrize(("masks", "names", "message"), WRONG)
def test_masks_that_do_not_fit_are_refused(tmp_path: Path, masks: Any, names: Any, message: str) -> None:
    source = npz_of(tmp_path, masks=masks, class_names=np.array(names))
    with pytest.raises(DataError, match=message):
        source.load(Segmentation(ignore=3))


def test_masks_of_another_size_than_in_train_are_refused(tmp_path: Path) -> None:
    given = {"x_train": PICTURES, "y_train": MASKS, "x_test": PICTURES, "y_test": MASKS[:, 1:]}
    with pytest.raises(DataError, match=r"data\.y_test: sample 0: masks of another size than in train; found \(5, 8\)"):
        Npz(written(tmp_path, **given), validation=2).load(Segmentation(ignore=3))


POINTS = RNG.uniform(0, 5, (9, 2, 2)).astype(np.float32)


def test_npz_reads_points(tmp_path: Path) -> None:
    given = {"x_train": PICTURES, "y_train": POINTS, "x_test": PICTURES, "y_test": POINTS}
    path = written(tmp_path, **given, class_names=np.array(["eye", "nose"]))
    data = Npz(path, validation=2).load(Regression(points=True))
    assert data.classes == ("eye x", "eye y", "nose x", "nose y") and data.test.y is not None
    assert np.array_equal(data.test.y, POINTS.reshape(9, 4))
    with pytest.raises(DataError, match=r"data\.y_train: sample 0: labels that look like points; found \(9, 2, 2\)"):
        Npz(path, validation=2).load(Regression())


def test_points_outside_are_told_and_those_of_another_unit_refused(tmp_path: Path) -> None:
    def load(points: np.ndarray) -> Any:
        given = {"x_train": PICTURES, "y_train": points, "x_test": PICTURES, "y_test": POINTS}
        source = Npz(written(tmp_path, **given), x_validation="x_test", y_validation="y_test")
        return source.load(Regression(points=True))

    some = POINTS.copy()
    some[3, 1] = 8, 2
    assert "1 of 9 train samples have points outside of the picture: learned as they are" in load(some).notes
    unknown = POINTS.copy()
    unknown[:2, 1] = np.nan
    assert np.isnan(load(unknown).train.y[:2, 2:]).all() and not any("outside" in note for note in load(unknown).notes)
    with pytest.raises(DataError, match=r"points outside of their pictures; found 'x .* sample 0'.*pixels of pictures"):
        load(POINTS * 30 + 10)
    with pytest.raises(DataError, match="an infinite label"):
        load(np.full_like(POINTS, np.inf))
    with pytest.raises(DataError, match="labels of points are pairs of numbers"):
        load(POINTS[:, :, :1])


def test_places_are_of_pictures(tmp_path: Path) -> None:
    data = MadePoints(train=4, validation=2, test=2).load(Regression(points=True))
    assert list(outside(data, "made")) == []
    rows = np.arange(18.0).reshape(9, 2)
    given = {"x_train": rows, "x_test": rows[:4]}
    for y, task in ((POINTS, Regression(points=True)), (MASKS, Segmentation(ignore=3))):
        path = written(tmp_path, **given, y_train=y, y_test=y[:4])
        with pytest.raises(DataError, match=r"labels of places in samples that are no pictures; found \(7, 2\)"):
            Npz(path, validation=2, samples="numbers").load(task)


def test_made_scenes_and_faces_are_functions_of_their_seed() -> None:
    scenes = [MadeScenes(train=8, validation=2, test=2, seed=seed).load(Segmentation()) for seed in (0, 0, 1)]
    assert scenes[0].classes == ("sky", "building", "tree", "road", "car")
    masks = [scene.train.y for scene in scenes if scene.train.y is not None]
    assert np.array_equal(scenes[0].train.x, scenes[1].train.x) and np.array_equal(masks[0], masks[1])
    assert not np.array_equal(scenes[0].train.x, scenes[2].train.x)
    faces = MadePoints(train=8, validation=2, test=2).load(Regression(points=True))
    assert faces.classes[:2] == ("left eye x", "left eye y") and faces.train.y is not None
    assert faces.train.y.shape == (8, 10) and 0 < faces.train.y.min() < faces.train.y.max() < 32
    with pytest.raises(DataError, match="labels are whole numbers or names"):
        MadePoints(train=4, validation=2, test=2).load()
