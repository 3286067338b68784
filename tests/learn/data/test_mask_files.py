"""Masks in folders beside their pictures, and folders that say what is normal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from edgekd.base.errors import DataError
from edgekd.learn.data import LabelsByHead
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.tasks import IGNORED, Task
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap
from edgekd.tasks.classification import Classification
from edgekd.tasks.segmentation import Segmentation

SPLITS = ("train", "valid", "test")
LAYOUTS = {
    "each split has folders": ("{split}/images/{i}.jpg", "{split}/masks/{i}.png"),
    "masks lie among the pictures": ("{split}/{i}.jpg", "{split}/masks/{i}.png"),
    "each folder has splits": ("pictures/{split}/{i}.jpg", "masks/{split}/{i}.png"),
    "deeper": ("left/{split}/town/{i}.bmp", "masks/{split}/town/{i}.tif"),
}


def grey(i: int, shape: tuple[int, int] = (6, 8)) -> np.ndarray:
    """The i-th picture, of one grey."""
    return np.full((*shape, 3), 10 * i + 10, np.uint8)


def mask(i: int, shape: tuple[int, int] = (6, 8)) -> np.ndarray:
    """Its mask, which tells i: of 0, 1 and 2."""
    numbers = np.arange(shape[0] * shape[1]).reshape(shape) + i
    return np.asarray(numbers % 3, np.uint8)


def save(path: Path, pixels: np.ndarray, mode: str = "", **keys: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **keys)
    return path


def lay(root: Path, picture: str, of: str, count: int = 4, mode: str = "") -> Path:
    """So many pictures in each split, with masks."""
    for k, split in enumerate(SPLITS):
        for i in range(count):
            save(root / picture.format(split=split, i=i), grey(count * k + i))
            save(root / of.format(split=split, i=i), mask(count * k + i), mode)
    return root


def source(root: Path, **keys: Any) -> Imagefolder:
    return Imagefolder(str(root), **{"masks": "masks", **keys})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mask_is_of_its_picture(tmp_path: Path, layout: str) -> None:
    data = source(lay(tmp_path, *LAYOUTS[layout])).load(Segmentation())
    assert data.classes == ("0", "1", "2") and [len(split) for split in data.splits.values()] == [4, 4, 4]
    for split in data.splits.values():
        assert split.y is not None and split.names is not None
        numbers = (np.asarray(split.x)[:, 0, 0, 0].astype(int) - 10 + 2) // 10  # a JPEG's grey may be 1 off
        assert np.array_equal(split.y, np.stack([mask(i) for i in numbers]))
        assert not any("masks" in name for name in split.names)
    later = source(tmp_path, lazy=True, workers=1).load(Segmentation())
    assert np.array_equal(later.train.y, data.train.y) and later.train.names == data.train.names  # type: ignore[arg-type]


def test_splits_are_carved_where_no_folder_says_them(tmp_path: Path) -> None:
    for i in range(10):
        save(tmp_path / f"images/{i}.png", grey(i))
        save(tmp_path / f"masks/{i}.png", mask(i))
    data = source(tmp_path, validation=0.2, test=0.3, classes=("sky", "road", "car")).load(Segmentation())
    assert [len(split) for split in data.splits.values()] == [6, 1, 3] and data.classes == ("sky", "road", "car")
    for split in data.splits.values():
        assert np.array_equal(split.y, np.stack([mask(i) for i in (np.asarray(split.x)[:, 0, 0, 0] - 10) // 10]))  # type: ignore[arg-type]
    assert len(source(tmp_path, limit=8, validation=2, test=2).load(Segmentation()).train) == 4


def test_folders_that_may_be_splits_are_not_trained_on(tmp_path: Path) -> None:
    lay(tmp_path, "images/town_{split}/{i}.png", "masks/town_{split}/{i}.png")
    with pytest.raises(DataError, match=r"may be a split, and would be trained on; found 'town_(test|valid)'"):
        source(tmp_path).load(Segmentation())


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_a_mask_is_made_one_size_as_its_picture_is(tmp_path: Path, fit: Any) -> None:
    """A picture that shows its mask shows it afterwards."""
    for i in range(6):
        shape = (8 + 2 * i, 12)
        pixels = np.repeat(mask(i, shape)[..., None], 3, axis=2)
        save(tmp_path / f"images/{i}.png", pixels)
        save(tmp_path / f"masks/{i}.png", mask(i, shape))
    data = source(tmp_path, size=(10, 7), interpolation="nearest", fit=fit, validation=1, test=1).load(Segmentation())
    for split in data.splits.values():
        assert split.y is not None
        shown, known = np.asarray(split.x)[..., 0], split.y != IGNORED
        assert np.array_equal(shown[known], split.y[known]) and (shown[~known] == 0).all()
        assert known.all() == (fit != "letterbox") and known.any()


def test_numbers_or_colours_say_the_class(tmp_path: Path) -> None:
    picture, of = LAYOUTS["each split has folders"]
    lay(tmp_path / "grey", picture, of, mode="RGB")  # as some programs write greys
    assert np.array_equal(source(tmp_path / "grey").load(Segmentation()).train.y, [mask(i) for i in range(4)])  # type: ignore[arg-type]
    data = source(tmp_path / "grey", values=(2, 0)).load(Segmentation())
    wanted = np.array([1, IGNORED, 0])
    assert np.array_equal(data.train.y, [wanted[mask(i)] for i in range(4)])  # type: ignore[arg-type]
    assert data.classes == ("2", "0") and any("of none of data.values" in note for note in data.notes)
    palette = np.array([[0, 0, 0], [128, 0, 0], [0, 0, 255]], np.uint8)
    for file in (tmp_path / "grey").rglob("masks/*"):
        save(tmp_path / "colours" / file.relative_to(tmp_path / "grey"), palette[np.asarray(Image.open(file))[..., 0]])
    for file in (tmp_path / "grey").rglob("images/*"):
        save(tmp_path / "colours" / file.relative_to(tmp_path / "grey"), np.asarray(Image.open(file)))
    coloured = source(tmp_path / "colours", values=("#0000FF", "#000000")).load(Segmentation())
    assert np.array_equal(coloured.train.y, data.train.y)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="a mask in colours"):
        source(tmp_path / "colours").load(Segmentation())


def anomalies(root: Path) -> Path:
    """As a widespread data set of faults lays them: masks of the faulty ones alone, which stand in test alone."""
    for i in range(30):
        save(root / f"train/good/{i:03}.png", grey(0))
    for i in range(5):
        save(root / f"test/good/{i:03}.png", grey(1))
        save(root / f"test/cut/{i:03}.png", grey(2))
        save(root / f"test/hole/{i:03}.png", grey(3))
        for kind in ("cut", "hole"):
            save(root / f"ground_truth/{kind}/{i:03}_mask.png", np.asarray(255 * (mask(i) > 1), np.uint8))
    return root


def test_a_folder_without_masks_is_of_normal_pictures(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"masks": "ground_truth", "endings": ("", "_mask"), "validation": 20}
    task = AnomalyMap(anomalous=255, false_alarms=0.1)
    data = source(anomalies(tmp_path), **keys).load(task)
    assert data.train.y is not None and data.test.y is not None and not data.train.y.any()
    greys = np.asarray(data.test.x)[:, 0, 0, 0]
    assert np.array_equal(data.test.y.any(axis=(1, 2)), greys > grey(1)[0, 0, 0]) and len(greys) == 15
    assert np.array_equal(data.test.y[0], mask(0) > 1)
    assert any("35 pictures are normal all over" in note for note in data.notes)
    (tmp_path / "ground_truth/cut/002_mask.png").unlink()
    with pytest.raises(DataError, match=r"a picture without a mask; found 'test/cut/002\.png'"):
        source(tmp_path, **keys).load(task)


def test_folders_say_what_is_normal(tmp_path: Path) -> None:
    task = Anomaly(normal="good", false_alarms=0.1)
    data = Imagefolder(str(anomalies(tmp_path)), validation=20).load(task)
    greys = np.asarray(data.test.x)[:, 0, 0, 0]
    assert data.train.y is not None and data.test.y is not None and not data.train.y.any()
    assert np.array_equal(data.test.y[:, 0] == 1, greys > grey(1)[0, 0, 0]) and data.classes == ("score",)
    with pytest.raises(DataError, match=r"no such class; found 'god'.*did you mean 'good'"):
        Imagefolder(str(tmp_path)).load(Anomaly(normal="god"))


def test_files_of_other_names_are_left_out_and_counted(tmp_path: Path) -> None:
    """As a widespread data set of streets has them: pictures and masks with endings, coloured ones beside."""
    for split in SPLITS:
        for i in range(4):
            save(tmp_path / f"left/{split}/town/{i}_left.png", grey(i))
            save(tmp_path / f"fine/{split}/town/{i}_fine_labelIds.png", mask(i))
            save(tmp_path / f"fine/{split}/town/{i}_fine_color.png", grey(i))
            (tmp_path / f"fine/{split}/town/{i}_fine_polygons.json").write_text("{}")
    data = source(tmp_path, masks="fine", endings=("_left", "_fine_labelIds")).load(Segmentation())
    assert np.array_equal(data.train.y, [mask(i) for i in range(4)])  # type: ignore[arg-type]
    assert any("12 without _fine_labelIds before the dot" in note and "12 .json" in note for note in data.notes)


@pytest.mark.parametrize(("folders", "is_told"), [(("Images", "masks"), True), (("cats", "masks"), False)])
def test_masks_that_are_read_as_a_class_are_told(tmp_path: Path, folders: tuple[str, str], is_told: bool) -> None:
    shown, of = (f"{{split}}/{folder}/{{i}}.png" for folder in folders)
    lay(tmp_path, shown, of)
    notes = " ".join(source(tmp_path, masks="").load().notes)
    assert ('data.masks = "masks" reads pictures and their masks' in notes) == is_told


def test_a_head_learns_the_folders_and_another_the_masks(tmp_path: Path) -> None:
    score = Imagefolder(str(anomalies(tmp_path)), validation=20)
    sources = {"score": score, "map": replace(score, masks="ground_truth", endings=("", "_mask"))}
    tasks: dict[str, Task] = {"score": Anomaly(normal="good", false_alarms=0.1)}
    tasks["map"] = AnomalyMap(anomalous=255, false_alarms=0.1)
    data = LabelsByHead(sources).load(tasks)
    heads, y = data.heads_of(tasks["score"]), data.test.y
    scores, maps = heads.labels_of(y, "score"), heads.labels_of(y, "map")
    assert scores is not None and maps is not None and scores.sum() == 10
    assert np.array_equal(scores[:, 0] == 1, maps.reshape(15, -1).any(axis=1))
    assert any(note.startswith("heads.map: 35 pictures are normal") for note in data.notes)
    assert any(note.startswith("heads.score: all 20 validation samples") for note in data.notes)
    assert sum("has no validation split" in note for note in data.notes) == 1


def test_a_picture_on_its_side_has_its_mask_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for i in range(6):
        save(tmp_path / f"images/{i}.jpg", grey(i, (8, 6)), exif=exif)
        save(tmp_path / f"masks/{i}.png", mask(i, (6, 8)))
    assert source(tmp_path, validation=1, test=1).load(Segmentation()).train.x.shape[1:] == (6, 8, 3)


def damaged(root: Path) -> Path:
    (root / "train/masks/1.png").write_bytes(b"nothing")
    return root


BAD: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "no such folder": (lambda p: p, {"masks": "mask"}, "no such folder of masks.*allowed: masks; did you mean 'masks'"),
    "no pairs": (lambda p: p, {"endings": ("", "_mask")}, "no such folder of masks|no mask of any picture"),
    "no picture": (lambda p: (p / "train/images/1.jpg").unlink(), {}, "a mask without a picture; found 'train/masks/1"),
    "no mask": (lambda p: (p / "test/masks/1.png").unlink(), {}, "a picture without a mask; found 'test/images/1.jpg'"),
    "another size": (lambda p: save(p / "test/masks/1.png", mask(1, (6, 9))), {}, "a mask of another size than its"),
    "pictures of sizes": (
        lambda p: (save(p / "train/images/1.jpg", grey(1, (6, 9))), save(p / "train/masks/1.png", mask(1, (6, 9)))),
        {}, "an image of another size.*data.size",
    ),
    "a photograph": (lambda p: save(p / "train/masks/1.png", grey(1), format="JPEG"), {}, "not a mask: pixels that"),
    "damaged": (damaged, {}, "train/masks/1.png: can't be decoded"),
    "two masks": (lambda p: save(p / "train/masks/1.bmp", mask(1)), {}, "two masks of one name"),
    "two pictures": (lambda p: save(p / "train/depth/1.jpg", grey(1)), {}, "a mask of two pictures"),
    "a class too many": (lambda p: save(p / "train/masks/1.png", mask(1) + 7), {"classes": ("a", "b")}, "no class"),
    "no split": (lambda p: (save(p / "images/1.jpg", grey(1)), save(p / "masks/1.png", mask(1))), {}, "of no split"),
    "two of a split": (
        lambda p: (save(p / "val/images/1.jpg", grey(1)), save(p / "val/masks/1.png", mask(1))), {}, "two folders for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_belong_together_is_an_error_that_names_it(tmp_path: Path, case: str) -> None:
    spoil, keys, message = BAD[case]
    lay(tmp_path, *LAYOUTS["each split has folders"])
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        source(tmp_path, **keys).load(Segmentation())


@pytest.mark.parametrize("task", [Classification(), Anomaly(normal="a")], ids=["classes", "scores"])
def test_masks_are_of_tasks_that_answer_at_every_pixel(tmp_path: Path, task: Task) -> None:
    lay(tmp_path, *LAYOUTS["each split has folders"])
    with pytest.raises(DataError, match="labels that the task does not take"):
        source(tmp_path).load(task)


@pytest.mark.parametrize(
    "keys",
    [
        {"masks": "", "values": (0, 1)},
        {"masks": "", "endings": ("", "_m")},
        {"masks": "a/b"},
        {"metadata": "metadata.csv"},
        {"values": (0, 0)},
        {"values": (-1, 2)},
        {"values": ("#00f", "#0000ff")},
    ],
    ids=str,
)
def test_keys_that_do_not_go_together(tmp_path: Path, keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        source(tmp_path, **keys)


@pytest.mark.parametrize("above", ["", "{split}/"])
def test_other_masks_beside_those_that_are_read_are_left_out(tmp_path: Path, above: str) -> None:
    """As Pascal VOC has them."""
    lay(tmp_path, f"{above}JPEGImages/{{split}}{{i}}.jpg", f"{above}SegmentationClass/{{split}}{{i}}.png")
    lay(tmp_path, f"{above}JPEGImages/{{split}}{{i}}.jpg", f"{above}SegmentationObject/{{split}}{{i}}.png")
    data = source(tmp_path, masks="SegmentationClass", validation=0.25, test=0.25).load(Segmentation())
    assert sum(map(len, data.splits.values())) == 12
    assert "left out, as they lie beside the pictures and their masks: 12 in SegmentationObject" in data.notes
    with pytest.raises(DataError, match=r"no such folder of masks; .*allowed: SegmentationClass, SegmentationObject"):
        source(tmp_path, masks="JPEGImage").load(Segmentation())
