"""The family ``timm``, held against a small module of that name: timm itself needs a torchvision for this torch."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekd.base import plugins, preprocess
from edgekd.base.errors import EdgekdError, FactoryError, RecipeError, UnavailableError
from edgekd.build import set_up
from edgekd.learn.data._batches import from_splits
from edgekd.learn.models import timm as family
from edgekd.spec import recipe

NETS = {"resnet10t": False, "resnet18": False, "vit_tiny_patch16_224": True}


@dataclass(frozen=True)
class PretrainedCfg:
    """The fields that are read; the values are those of ``resnet10t.c3_in1k`` and of a ViT."""

    input_size: tuple[int, int, int] = (3, 176, 176)
    fixed_input_size: bool = False
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


def is_model(name: str) -> bool:
    return name.partition(".")[0] in NETS


def list_models(pattern: str = "*") -> list[str]:
    return fnmatch.filter(NETS, pattern)


def get_pretrained_cfg(name: str) -> PretrainedCfg:
    return PretrainedCfg(fixed_input_size=NETS[name.partition(".")[0]])


def create_model(
    name: str, pretrained: bool, num_classes: int, in_chans: int, exportable: bool, img_size: Any = None, width: int = 8
) -> nn.Module:
    """A net that is not timm's."""
    assert not pretrained and exportable and (img_size is not None) == NETS[name.partition(".")[0]]
    parts = [nn.Conv2d(in_chans, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(width, num_classes))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(
        is_model=is_model, list_models=list_models, get_pretrained_cfg=get_pretrained_cfg, create_model=create_model
    )
    monkeypatch.setattr(family, "timm", fake, raising=False)
    monkeypatch.setattr(family, "MISSING", None)


def test_without_torchvision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "MISSING", "RuntimeError: operator torchvision::nms does not exist")
    with pytest.raises(UnavailableError, match=r"timm can't be.*torchvision::nms.*pip install timm torchvision"):
        plugins.build("models", {"kind": "timm", "name": "resnet18"}, "student.model")


@pytest.mark.usefixtures("library")
def test_a_network_by_its_name() -> None:
    for name in ("resnet18.a1_in1k", "vit_tiny_patch16_224"):
        module = plugins.build("models", {"kind": "timm", "name": name, "config": {"width": 4}}, "m").build(
            (1, 9, 9), 5
        )
        assert module(torch.zeros(2, 1, 9, 9)).shape == (2, 5)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("table", "shape", "error", "message"),
    [
        ({"name": "resnet99"}, (3, 9, 9), RecipeError, "m.name: allowed is one of timm.list_models.*resnet18"),
        ({"name": "hf_hub:a/b"}, (3, 9, 9), RecipeError, "m.name"),
        ({"name": "resnet18", "config": {"pretrained": True}}, (3, 9, 9), RecipeError, "config: .*pretrained it does"),
        ({"name": "resnet18", "config": {"depth": 3}}, (3, 9, 9), FactoryError, "unexpected keyword argument 'depth'"),
        ({"name": "resnet18"}, (40, 2), RecipeError, "timm's networks read images"),
    ],
)
def test_what_it_can_not_be_is_told(
    table: dict[str, object], shape: tuple[int, ...], error: type[EdgekdError], message: str
) -> None:
    with pytest.raises(error, match=message):
        plugins.build("models", {"kind": "timm", **table}, "m").build(shape, 5)


@pytest.mark.usefixtures("library")
def test_a_teacher_with_a_checkpoint_is_shown_images_as_its_weights_were(tmp_path: Path) -> None:
    net = family.Timm("resnet10t").build((3, 176, 176), 2)
    save_file(net.state_dict(), tmp_path / "t.safetensors")
    x = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
    data = from_splits([(x, np.arange(6) % 2)] * 3, "data")
    model = {"kind": "timm", "name": "resnet10t"}
    table = {
        "name": "t",
        "data": {"source": "objects"},
        "student": {"model": {"kind": "convnet"}},
        "losses": [{"kind": "kl"}],
        "teacher": {"model": model, "checkpoint": str(tmp_path / "t.safetensors")},
    }
    shown = set_up.views(recipe.parse(table, "r"), data, quick=False)
    ops = shown.feeds["teacher"].ops
    assert [op["op"] for op in ops] == ["resize", "crop", "scale", "normalise", "layout"]
    assert ops[0] == {"op": "resize", "height": 201, "width": 241, "interpolation": "bicubic"}, "176 / 0.875, 24 / 20"
    assert (ops[1]["height"], ops[1]["width"]) == (176, 176)
    assert preprocess.apply(ops, x)["input"].shape == (6, 3, 176, 176)
    assert [op["op"] for op in shown.feed.ops] == ["scale", "layout"], "the student's are the data's"
    assert shown.dataset.notes == data.notes, "nothing is done otherwise"
    own = {**table, "teacher": {"model": model, "epochs": 1}}
    assert set_up.views(recipe.parse(own, "r"), data, quick=False).feeds["teacher"].ops == shown.feed.ops
