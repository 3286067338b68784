"""A plain convolutional net: a few 3x3 convolutions of one width, a global mean, a linear head."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.learn.models._base import conv_bn, initialise


@dataclass(frozen=True)
class Convnet:
    """Wide plain layers, which fill the int8 units of a CPU better than narrow or depthwise ones.

    Attributes:
        width: channels of every convolution, 1..4096.
        depth: how many convolutions, 1..64.
        strides: of each convolution, in order; missing ones are 1. Absent: the second has 2.
    """

    width: int = 64
    depth: int = 3
    strides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise ValueError("width: allowed is 1 to 4096")
        if not 1 <= self.depth <= 64:
            raise ValueError("depth: allowed is 1 to 64")
        given = self.strides or ()
        if len(given) > self.depth or not all(1 <= s <= 8 for s in given):
            raise ValueError("strides: allowed is one of 1 to 8 for each convolution")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes)."""
        return initialise(ConvnetModule(input_shape[0], classes, self))


class ConvnetModule(nn.Module):
    """The module of ``Convnet``."""

    def __init__(self, channels: int, classes: int, family: Convnet) -> None:
        super().__init__()
        given = (1, 2) if family.strides is None else family.strides
        strides = [*given, *[1] * family.depth][: family.depth]
        widths = [channels, *[family.width] * family.depth]
        self.features = nn.Sequential(
            *(conv_bn(widths[i], widths[i + 1], stride=strides[i]) for i in range(family.depth))
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(family.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))
