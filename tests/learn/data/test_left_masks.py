"""Masks of training that are left in a file: the same labels, the same weights, and the same mistakes are told."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import ipc, parquet

from edgekd.base import host
from edgekd.base.errors import DataError
from edgekd.learn import predictions, train
from edgekd.learn.data import LabelsByHead, _left_masks
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._left_masks import LeftMasks
from edgekd.learn.data.arrow import Arrow
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.learn.data.webdataset import Webdataset
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.metrics import Evaluator
from edgekd.metrics.miou import Miou
from edgekd.spec.recipe import Augment, Schedule
from edgekd.tasks import IGNORED, Task
from edgekd.tasks.anomaly_map import AnomalyMap
from edgekd.tasks.segmentation import Segmentation

KINDS = ("folder", "shards", "stream", "parquet")


def lay(root: Path, numbers: tuple[int, ...] = (0, 1, 2, 255), count: int = 40, split: str = "") -> Path:
    """So many pictures of 8 x 6 with masks of some numbers; the last number is in one picture alone."""
    rng = np.random.default_rng(count)
    for i in range(count):
        mask = rng.choice(numbers[:-1], (6, 8)).astype(np.uint8)
        mask[0, 0] = numbers[-1] if i == 17 % count else mask[0, 0]
        pixels = np.stack([mask, mask // 2, 255 - mask], axis=-1) + rng.integers(0, 9, (6, 8, 3), np.uint8)
        for folder, array in (("images", pixels.astype(np.uint8)), ("masks", mask)):
            place = root / split / folder / f"{i:02}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(place)
    return root


def pack(root: Path, kind: str) -> None:
    """The pictures and masks of a folder, those of each split, also in a shard or in a table."""
    for folder in root.rglob("images"):
        place = root / kind / (folder.parent.name if folder.parent != root else "all")
        place.parent.mkdir(exist_ok=True)
        shown = sorted(folder.iterdir())
        masks = [folder.parent / "masks" / file.name for file in shown]
        if kind == "shards":
            with tarfile.open(place.with_suffix(".tar"), "w") as archive:
                for picture, mask in zip(shown, masks, strict=True):
                    archive.add(picture, picture.name)
                    archive.add(mask, f"{picture.stem}.mask.png")
            continue
        of_masks = [{"bytes": mask.read_bytes(), "path": mask.name} for mask in masks]
        table = pa.table({"image": [picture.read_bytes() for picture in shown], "label": of_masks})
        if kind == "parquet":
            parquet.write_table(table, place.with_suffix(".parquet"), row_group_size=7)
        else:
            with ipc.new_stream(str(place.with_suffix(".arrow")), table.schema) as writer:
                writer.write_table(table, 7)


def load(root: Path, task: Task | None = None, kind: str = "folder", **keys: Any) -> Dataset:
    keys, task = {"workers": 0, **keys}, Segmentation() if task is None else task
    if kind == "folder":
        return Imagefolder(str(root), masks="masks", **keys).load(task)
    if not (root / kind).exists():
        pack(root, kind)
    if kind == "shards":
        return Webdataset(str(root / kind), label="mask.png", **keys).load(task)
    return Arrow(str(root / kind), **keys).load(task)


def check_alike(here: Dataset, there: Dataset) -> None:
    assert here.classes == there.classes and here.notes == there.notes
    assert isinstance(there.train.y, LeftMasks) and isinstance(here.train.y, np.ndarray)
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert mine.y is not None and theirs.y is not None and mine.names == theirs.names
        assert (theirs.y.shape, theirs.y.dtype, theirs.y.size) == (mine.y.shape, mine.y.dtype, mine.y.size)
        assert np.array_equal(np.asarray(theirs.y), mine.y) and np.array_equal(np.asarray(theirs.x), np.asarray(mine.x))
    for name in ("validation", "test"):
        assert isinstance(there.splits[name].y, np.ndarray)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("numbers", "task", "keys"),
    [
        ((0, 1, 2, 255), Segmentation(), {}),
        ((0, 1, 2, 7), Segmentation(ignore=1), {"limit": 30}),
        ((0, 1, 2, 255), Segmentation(), {"classes": ("a", "b", "c"), "size": (4, 4)}),
        ((5, 9, 80, 3), Segmentation(), {"values": (80, 5, 9), "fit": "letterbox", "size": (5, 5)}),
        ((5, 9, 80, 3), Segmentation(ignore=-1), {"values": (80, 5, 9)}),
        ((0, 1, 0, 1), AnomalyMap(false_alarms=0.5, alarms="pixels"), {}),
    ],
)
def test_they_are_those_in_memory(
    tmp_path: Path, numbers: tuple[int, ...], task: Task, keys: dict[str, Any], kind: str
) -> None:
    lay(tmp_path, numbers)
    check_alike(load(tmp_path, task, kind, **keys, lazy=False), load(tmp_path, task, kind, **keys, lazy=True))


@pytest.mark.parametrize("kind", KINDS)
def test_splits_of_their_own_and_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(_left_masks, "PIXELS", 100)
    for split, count in (("train", 21), ("val", 5), ("test", 4)):
        lay(tmp_path, count=count, split=split)
    here, there = (load(tmp_path, kind=kind, lazy=lazy).train.y for lazy in (False, True))
    assert here is not None and isinstance(there, LeftMasks)
    assert np.array_equal(there[3], here[3]) and np.array_equal(there[-1], here[-1])
    for index in (slice(2, 20, 3), np.array([5, 1, 5]), np.arange(len(here)) % 3 == 0):
        part = there[index]
        assert isinstance(part, LeftMasks) and np.array_equal(np.asarray(part), here[index])
        assert np.array_equal(np.stack(list(part)), here[index])
    parts = list(_left_masks.labels_in_parts(there))
    assert len(parts) > 3 and np.array_equal(np.concatenate(parts), here)
    examples = there.examples()
    assert {*np.unique(np.asarray(there[examples]))} == {*np.unique(here)} and len(examples) <= 4
    assert there.counts.sum() == here.size and there.counts[255] == (here == IGNORED).sum()


def test_heads_of_masks_are_held(tmp_path: Path) -> None:
    lay(tmp_path)
    heads = {"a": Segmentation(), "b": Segmentation(ignore=0)}
    here, there = (
        LabelsByHead(
            {
                name: Imagefolder(str(tmp_path), masks="masks", lazy=lazy, workers=0, classes=names)
                for name, names in kinds
            }
        ).load(heads)
        for kinds in [[("a", ("x", "y", "z")), ("b", tuple(map(str, range(256))))]]
        for lazy in (False, True)
    )
    assert here.train.y is not None and np.array_equal(np.asarray(here.train.y), np.asarray(there.train.y))


def fitted(root: Path, kind: str, **keys: Any) -> dict[str, torch.Tensor]:
    """The weights of a small network of masks after two epochs of moved pictures, and what it answers."""
    data = load(root, kind=kind, **keys)
    heads = data.heads_of(Segmentation())
    feed = Feed(data, data.preprocess, Augment(flip=True, crop=1, views=2), 0, heads=heads)
    feed.check_views()
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 1), torch.nn.Flatten()]
    net, terms = torch.nn.Sequential(*layers), make_terms([{"kind": "cross_entropy"}], heads=heads)
    schedule, evaluator = Schedule(epochs=2, batch_size=7), Evaluator(Miou(), heads)
    train.fit(net, train.TrainingJob(terms, feed, schedule, 0, evaluator=evaluator))
    return {**net.state_dict(), "test": torch.tensor(predictions.predict(net, feed, "test"))}


@pytest.mark.parametrize(("kind", "workers"), [("folder", 2), ("shards", 1), ("parquet", 8)])
def test_the_same_weights_byte_for_byte(tmp_path: Path, kind: str, workers: int) -> None:
    here = fitted(lay(tmp_path), kind, lazy=False)
    for count in (0, workers):
        there = fitted(tmp_path, kind, lazy=True, workers=count)
        assert all(torch.equal(here[name], there[name]) for name in here), f"{count} workers"


@pytest.mark.parametrize("kind", KINDS)
def test_masks_that_take_much_of_the_memory_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lay(tmp_path)
    monkeypatch.setattr(host, "memory", lambda: 4 * 8 * 40 * 48 - 4)
    data = load(tmp_path, kind=kind)
    assert isinstance(data.train.y, LeftMasks) and isinstance(data.train.x, np.ndarray)
    assert sum("the training masks would take more than a quarter" in note for note in data.notes) == 1
    assert isinstance(load(tmp_path, kind=kind, lazy=False).train.y, np.ndarray)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("kind", "where"),
    [("folder", "masks/17.png"), ("shards", "all.tar: 17"), ("stream", "all.arrow: row 17")],
)
def test_a_pixel_of_no_class_is_told_of_its_mask(tmp_path: Path, kind: str, where: str, lazy: bool) -> None:
    lay(tmp_path, (0, 1, 2, 9))
    with pytest.raises(DataError, match=rf"{where}: a label that is no class; found '9 at x 0, y 0'"):
        load(tmp_path, kind=kind, classes=("a", "b", "c"), lazy=lazy)


@pytest.mark.parametrize("lazy", [False, True])
def test_what_is_wrong_is_told_of_its_mask(tmp_path: Path, lazy: bool) -> None:
    lay(tmp_path)
    Image.fromarray(np.zeros((3, 8), np.uint8)).save(tmp_path / "masks" / "20.png")
    with pytest.raises(DataError, match=r"masks/20.png: a mask of another size than its picture"):
        load(tmp_path, lazy=lazy)
    with pytest.raises(DataError, match=r"all.tar: 20.mask.png: a mask of another size than its picture"):
        load(tmp_path, kind="shards", lazy=lazy)
    (tmp_path / "masks" / "20.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"masks/20.png: can't be decoded"):
        load(tmp_path, lazy=lazy)
    with pytest.raises(DataError, match=r"all.parquet: row 20: label: can't be decoded"):
        load(tmp_path, kind="parquet", lazy=lazy)


@pytest.mark.parametrize("lazy", [False, True])
def test_one_class_alone(tmp_path: Path, lazy: bool) -> None:
    """The other one is in a picture that is carved off."""
    for split, numbers in (("train", (0, 0)), ("val", (0, 1)), ("test", (0, 1))):
        lay(tmp_path, numbers, 4, split)
    with pytest.raises(DataError, match="one class only; found '0'"):
        load(tmp_path, lazy=lazy)
