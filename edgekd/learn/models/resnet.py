"""The CIFAR family of residual nets (He et al. 2016, section 4.2, arXiv:1512.03385)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.learn.models._base import conv_bn, initialise

STAGES = 3


@dataclass(frozen=True)
class Resnet:
    """Three stages of n blocks with width, 2 x width and 4 x width channels.

    Attributes:
        depth: 6n + 2: 8, 14, 20, 32, 44, 56, 110, ...
        blocks: how many in each of the three stages, 1 to 200, in place of the depth. Most weights are in the last.
        width: channels of the first stage, 1..1024.
        stem_stride: stride of the first convolution, 1 to 4.
    """

    depth: int = 20
    width: int = 16
    stem_stride: int = 1
    blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.depth < 8 or (self.depth - 2) % 6 or self.depth > 1202:
            raise ValueError("depth: allowed is 6n + 2: 8, 14, 20, 26, 32, 44, 56, 110")
        if self.blocks and not (len(self.blocks) == STAGES and all(1 <= count <= 200 for count in self.blocks)):
            raise ValueError("blocks: allowed are three counts of 1 to 200")
        if not 1 <= self.width <= 1024:
            raise ValueError("width: allowed is 1 to 1024")
        if not 1 <= self.stem_stride <= 4:
            raise ValueError("stem_stride: allowed is 1 to 4")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes)."""
        return initialise(ResnetModule(input_shape[0], classes, self))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(inputs, outputs, stride=stride)
        self.conv2 = conv_bn(outputs, outputs, activation=None)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride, activation=None)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class ResnetModule(nn.Module):
    """The module of ``Resnet``."""

    def __init__(self, channels: int, classes: int, family: Resnet) -> None:
        super().__init__()
        width = family.width
        counts = family.blocks or ((family.depth - 2) // 6,) * STAGES
        self.stem = conv_bn(channels, width, stride=family.stem_stride)
        stages, inputs = [], width
        for stage, count in enumerate(counts):
            outputs = width * 2**stage
            for block in range(count):
                stages.append(Block(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.blocks(self.stem(x))).flatten(1))
