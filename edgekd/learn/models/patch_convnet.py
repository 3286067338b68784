"""Patches and wide plain convolutions: a net whose layers fill the int8 units of a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.learn.models._base import conv_bn, initialise


@dataclass(frozen=True)
class PatchConvnet:
    """One convolution that cuts the image into patches, then stages of wide 3x3 convolutions, a mean, a linear head.

    An int8 dot product needs many channels on both sides: a patch stem gives them at once and leaves small maps, so
    that each layer is one large matrix product. Depthwise and narrow layers do not (Sandler's net: 1.5 x in int8).

    Attributes:
        patch: side and stride of the first convolution, 1..32 pixels.
        overlap: pixels by which patches overlap on each side, 0..16.
        width: channels of the first stage, 1..4096.
        depth: 3x3 convolutions of each stage, 1..64.
        stages: 1..6; each after the first halves the map.
        growth: of the channels from stage to stage, 1..4, rounded to a multiple of 16.
        residual: add a convolution's input where the shape stays; costs a read of the map, helps deep nets to train.
    """

    patch: int = 4
    overlap: int = 0
    width: int = 192
    depth: int = 4
    stages: int = 1
    growth: float = 2.0
    residual: bool = False

    def __post_init__(self) -> None:
        plugins.check_ranges(
            self, patch=(1, 32), overlap=(0, 16), width=(1, 4096), depth=(1, 64), stages=(1, 6), growth=(1, 4)
        )

    def widths(self) -> list[int]:
        """Channels of each stage."""
        grown = [round(self.width * self.growth**stage / 16) * 16 for stage in range(1, self.stages)]
        return [self.width, *(max(16, width) for width in grown)]

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes)."""
        return initialise(PatchConvnetModule(input_shape[0], classes, self))


class Unit(nn.Module):
    """A 3x3 convolution, with its input added where the shape stays and it is wanted."""

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.adds = residual and stride == 1 and inputs == outputs
        self.conv = conv_bn(inputs, outputs, stride=stride, activation=None if self.adds else nn.ReLU)
        self.relu = nn.ReLU() if self.adds else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x) + x) if self.adds else self.conv(x)


class PatchConvnetModule(nn.Module):
    """The module of ``PatchConvnet``."""

    def __init__(self, channels: int, classes: int, family: PatchConvnet) -> None:
        super().__init__()
        width, kernel = family.width, family.patch + 2 * family.overlap
        stem = nn.Conv2d(channels, width, kernel, family.patch, family.overlap, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(width), nn.ReLU())
        units = []
        for stage, outputs in enumerate(family.widths()):
            for number in range(family.depth):
                units.append(Unit(width, outputs, 2 if stage and not number else 1, family.residual))
                width = outputs
        self.features = nn.Sequential(*units)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(self.stem(x))).flatten(1))
