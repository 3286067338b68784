"""Data and weights that are nearly right: read as they are meant, or refused by name."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import DataError, RecipeError
from edgekd.learn import weights
from edgekd.learn.data import _archive, _batches
from edgekd.learn.data._encoded import open_image
from edgekd.tasks import _classes

COMPOSED, TAKEN_APART = "M\u00fcnchen", "Mu\u0308nchen"


def folder(root: Path, places: Sequence[str]) -> Any:
    for place in places:
        (root / place).mkdir(parents=True)
        for i in range(4):
            Image.new("L", (4, 4), 20 * i).save(root / place / f"{i}.png")
    return plugins.build("data", {"kind": "imagefolder", "path": str(root)}, "data")


def test_an_accent_is_one_however_it_is_written(tmp_path: Path) -> None:
    labels = {"train": np.array([TAKEN_APART, "Ulm "]), "test": np.array(["Ulm", COMPOSED])}
    for names in ((COMPOSED, " Ulm"), None):
        found = _classes.numbered(labels, names, lambda split, i: f"{split} {i}", "data").labels
        assert found["train"].tolist() == [0, 1]
        assert found["test"].tolist() == [1, 0]
    data = folder(tmp_path, [f"train/{COMPOSED}", "train/Ulm", f"test/{TAKEN_APART}", "test/Ulm"]).load()
    assert sorted(data.classes) == sorted((COMPOSED, "Ulm"))
    assert np.bincount(data.test.y).tolist() == [4, 4]


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["training_set/oak", "training_set/elm", "test_set/oak", "test_set/elm"], "a split or a class.*'test_set'"),
        (["seg_train/oak", "seg_train/elm", "seg_pred/oak"], "a split or a class.*'seg_train'"),
        (["a_train/a/oak", "a_train/a/elm", "a_test/a/oak", "a_test/a/elm"], "a split or a class.*'a_test'"),
        (["oak/train", "oak/val", "elm/train", "elm/val"], "a split inside of a folder.*'elm/train'"),
        (["trees/Train/oak", "trees/Train/elm"], "a split inside of a folder.*data.path at trees"),
        (["oak"], "one class only"),
    ],
)
def test_folders_that_look_like_splits_are_no_classes(tmp_path: Path, places: Sequence[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        folder(tmp_path, places).load()


def test_a_class_may_be_called_nearly_as_a_split_and_have_folders(tmp_path: Path) -> None:
    assert folder(tmp_path, ["bullet train", "oak/young", "oak/old"]).load().classes == ("bullet train", "oak")
    assert folder(tmp_path / "one", ["bullet train/new", "oak"]).load().classes == ("bullet train", "oak")


@pytest.mark.parametrize("content", [b"", b"<html>no such picture</html>"])
def test_what_is_no_picture_is_told_alike_every_time(content: bytes) -> None:
    with pytest.raises(DataError, match="no picture") as first:
        open_image(content, "a.png")
    with pytest.raises(DataError) as second:
        open_image(content, "a.png")
    assert str(first.value) == str(second.value)


def test_members_that_are_no_arrays_are_named(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(9))
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x", b"no array")
        file.writestr("y.npy", array.getvalue())
    with pytest.raises(DataError, match=r"data\.x_train: not an array.*'x'"):
        _archive.read(str(tmp_path / "d.npz"), lambda _: [("x_train", "x")])
    raw = bytearray((tmp_path / "d.npz").read_bytes())
    place = raw.rindex(b"PK\x01\x02")
    raw[place + 10] = 99  # a way of packing that Python does not know
    (tmp_path / "d.npz").write_bytes(raw)
    with pytest.raises(DataError, match="packed in a way that is not read; found 'zip method 99'"):
        _archive.read(str(tmp_path / "d.npz"), lambda _: [("y_train", "y")])


@pytest.mark.parametrize(
    ("value", "right"),
    [
        (torch.full((2, 3), 7, dtype=torch.int8), False),
        (torch.ones(2, 3, dtype=torch.bool), False),
        (torch.ones(2, 3, dtype=torch.complex64), False),
        (torch.full((2, 3), 0.5, dtype=torch.float64), True),
        (torch.full((2, 3), 0.5, dtype=torch.bfloat16), True),
    ],
)
def test_only_floats_are_weights(value: Tensor, *, right: bool) -> None:
    net = nn.Linear(3, 2)
    state = {"weight": value, "bias": torch.zeros(2)}
    if right:
        weights.load(net, state, "here")
        assert bool((net.weight == 0.5).all())
    else:
        with pytest.raises(RecipeError, match="'weight' has other numbers"):
            weights.load(net, state, "here")


def test_numbers_of_a_buffer_may_be_of_another_type_and_no_other_ones() -> None:
    net = nn.Module()
    net.register_buffer("places", torch.arange(3))
    weights.load(net, {"places": torch.tensor([2.0, 1.0, 0.0])}, "here")
    assert net.state_dict()["places"].tolist() == [2, 1, 0]
    with pytest.raises(RecipeError, match="'places' has other numbers"):
        weights.load(net, {"places": torch.tensor([2.0, 1.5, 0.0])}, "here")


def test_a_checkpoint_without_numbers_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.empty(2, 3, device="meta")}, tmp_path / "t.pt")
    with pytest.raises(RecipeError, match=r"t\.pt: a tensor without numbers.*'weight'"):
        weights.read(tmp_path / "t.pt", None)


@pytest.mark.parametrize(("labels", "classes"), [((0, 1, 1), ("0", "1")), (["yes", "no", "no"], ("no", "yes"))])
def test_labels_may_be_a_plain_list(labels: Any, classes: tuple[str, ...]) -> None:
    x = np.random.default_rng(0).random((3, 2))
    data = _batches.from_splits([(x, labels), (x, labels), (x, labels)], "data")
    assert data.classes == classes
    assert [data.classes[i] for i in data.test.y] == [str(label) for label in labels]  # type: ignore[union-attr]
