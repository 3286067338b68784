"""What the family ``timm`` asks of timm 1.0, which can't be imported without a torchvision for the installed torch."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

from torch import nn

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
