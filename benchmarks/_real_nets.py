"""Students, one teacher and data of ``real_teachers.py``, as a user's own module that recipes name."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.learn.models._logmel import LogMel

PADDING = 256  # what stands for no byte
BINS = 360  # of pitch, 20 cents each


def arrays(path: str) -> tuple[NDArray[np.float32], ...]:
    """The samples of each split, without labels, out of an ``.npz`` file."""
    with np.load(path) as file:
        return tuple(file[name].astype(np.float32) for name in ("train", "validation", "test"))


class BytesNet(nn.Module):
    """(N, 2048) bytes, the first 1,024 of a file and the last, -> scores of its type.

    A byte is embedded, convolutions run along each of the two parts, and the largest answer of each channel counts.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(PADDING + 1, 8)
        layers: list[nn.Module] = []
        for before, after, kernel, stride in ((8, width, 8, 4), (width, width, 3, 2), (width, 2 * width, 3, 2)):
            layers += [nn.Conv2d(before, after, (1, kernel), (1, stride), bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(4 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, classes))

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embedding(x.clamp(0, PADDING).long()).transpose(1, 2)
        maps = self.layers(embedded.reshape(embedded.shape[0], 8, 2, 1024))
        scores: Tensor = self.head(maps.amax(dim=3).flatten(1))
        return scores


def bytes_net(classes: int, width: int = 64) -> nn.Module:
    return BytesNet(classes, width)


class PitchNet(nn.Module):
    """(N, 1024) samples at 16 kHz -> (N, 360) scores of a pitch, from the bands of one spectrum."""

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.spectrum = LogMel(16_000, 512, bands, 30.0, 4_000.0)
        self.norm = nn.BatchNorm1d(bands)
        self.layers = nn.Sequential(
            nn.Linear(bands, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, BINS)
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(self.norm(self.spectrum(x).flatten(1)))
        return scores


def pitch_net(bands: int = 160, width: int = 384) -> nn.Module:
    return PitchNet(bands, width)


def crepe_module(site: str) -> Any:
    """torchcrepe's own network; its package imports libraries for sound that nothing here needs."""
    package = types.ModuleType("torchcrepe")
    package.PITCH_BINS = BINS  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location("_crepe_model", Path(site) / "torchcrepe" / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get("torchcrepe")
    sys.modules["torchcrepe"] = package
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop("torchcrepe") if before is None else sys.modules.update(torchcrepe=before)
    return module


def crepe(site: str, size: str = "full", half: bool = True) -> nn.Module:
    """The network, which gives logits here, with or without bfloat16 in its products."""
    base: Any = crepe_module(site).Crepe

    class Logits(base):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                maps = self.layer(self.embed(x), self.conv6, self.conv6_BN)
                scores = self.classifier(maps.permute(0, 2, 1, 3).reshape(-1, self.in_features))
            return scores.float()

    return Logits(size)
