"""A light DeepLab: small maps that see far, and the edges of larger ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.learn.models._base import conv_bn, initialise
from edgekd.learn.models._maps import MapsAndRows, check_image, encoder, of_maps, resized, size_of
from edgekd.tasks import Heads


@dataclass(frozen=True)
class Deeplab:
    """Scores of every pixel by dilated convolutions over small maps (Chen et al. 2018, arXiv:1802.02611), reduced.

    A plain encoder of wide convolutions, which fill the 8-bit units of a CPU; behind it convolutions of several
    dilations and the mean of the whole picture, side by side; then the maps of a quarter of the size, for the edges,
    and scores that are resized bilinearly.

    Attributes:
        width: channels of the first maps, 1..1024; they double with every halving.
        stages: halvings, 2..5.
        depth: 3x3 convolutions of each stage, 1..16.
        rates: dilations of the convolutions side by side, each 1..32.
    """

    width: int = 16
    stages: int = 4
    depth: int = 1
    rates: tuple[int, ...] = (1, 2, 4)

    def __post_init__(self) -> None:
        plugins.check_ranges(self, width=(1, 1024), stages=(2, 5), depth=(1, 16))
        if not 1 <= len(self.rates) <= 8 or not all(1 <= rate <= 32 for rate in self.rates):
            raise ValueError("rates: allowed are 1 to 8 dilations, each 1 to 32")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes, H, W)."""
        channels, _, _ = check_image(input_shape, "deeplab")
        return initialise(DeeplabModule(channels, classes, self))

    def build_heads(self, input_shape: tuple[int, ...], heads: Heads) -> nn.Module:
        """See ``HeadsFamily``: maps of classes of the input's size, and of the smallest maps' means scores in a row."""
        if (classes := of_maps(input_shape, heads, "deeplab")) is not None:
            return self.build(input_shape, classes)
        width = self.width * 4
        return initialise(DeeplabModule(input_shape[0], 0, self, MapsAndRows(heads, width, width)))


class Context(nn.Module):
    """(N, C, h, w) -> (N, outputs, h, w): convolutions of several dilations, and the mean of all places added."""

    def __init__(self, inputs: int, outputs: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_dilated(inputs, outputs, rate) for rate in rates)
        self.project = conv_bn(outputs * len(rates), outputs, 1, activation=None)
        # Without BatchNorm: of one sample a channel is one number, which has no variance.
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.project(torch.cat([branch(x) for branch in self.branches], 1)) + self.whole(x))


def _dilated(inputs: int, outputs: int, rate: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class DeeplabModule(nn.Module):
    """The module of ``Deeplab``; ``several``: its answers, where it has more than one."""

    def __init__(self, channels: int, classes: int, family: Deeplab, several: MapsAndRows | None = None) -> None:
        super().__init__()
        self.stages, inputs = encoder(channels, family.width, family.stages, family.depth)
        edges, width = family.width * 2, family.width * 4
        self.context = Context(inputs, width, family.rates)
        self.fuse = conv_bn(width + edges, width)
        self.head = nn.Conv2d(width, classes, 1) if several is None else several

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        y = self.stages[1](self.stages[0](x))
        edges = y
        for stage in self.stages[2:]:
            y = stage(y)
        deepest = self.context(y)
        y = self.fuse(torch.cat([resized(deepest, size_of(edges)), edges], 1))
        if isinstance(self.head, MapsAndRows):
            return self.head(y, deepest, size_of(x))
        return resized(self.head(y), size_of(x), "bilinear")
