"""Inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381), sized for small images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.learn.models._base import conv_bn, initialise

# (channels at width 1, blocks, stride) of each stage: about 87,000 parameters at width 1 and 10 classes.
STAGES = ((16, 1, 1), (24, 2, 2), (40, 2, 2), (64, 1, 1))


@dataclass(frozen=True)
class Mobilenet:
    """A MobileNetV2-like net for 28x28 to 64x64 images.

    Attributes:
        width: factor on every channel count, 0.1 to 8.
        expansion: of the inverted residuals, 1 to 12.
        stem_stride: stride of the first convolution, 1 to 4.
    """

    width: float = 1.0
    expansion: int = 4
    stem_stride: int = 1

    def __post_init__(self) -> None:
        if not 0.1 <= self.width <= 8:
            raise ValueError("width: allowed is 0.1 to 8")
        if not 1 <= self.expansion <= 12:
            raise ValueError("expansion: allowed is 1 to 12")
        if not 1 <= self.stem_stride <= 4:
            raise ValueError("stem_stride: allowed is 1 to 4")

    def channels(self, base: int) -> int:
        """A channel count at this width: a multiple of 8, at least 8."""
        return max(8, int(base * self.width + 4) // 8 * 8)

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes)."""
        return initialise(MobilenetModule(input_shape[0], classes, self))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [conv_bn(inputs, hidden, 1, activation=nn.ReLU6)] if expansion > 1 else []
        depthwise = conv_bn(hidden, hidden, stride=stride, groups=hidden, activation=nn.ReLU6)
        self.body = nn.Sequential(*expand, depthwise, conv_bn(hidden, outputs, 1, activation=None))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class MobilenetModule(nn.Module):
    """The module of ``Mobilenet``."""

    def __init__(self, channels: int, classes: int, family: Mobilenet) -> None:
        super().__init__()
        inputs = family.channels(16)
        self.stem = conv_bn(channels, inputs, stride=family.stem_stride, activation=nn.ReLU6)
        blocks = []
        for base, count, stride in STAGES:
            outputs = family.channels(base)
            for block in range(count):
                blocks.append(InvertedResidual(inputs, outputs, 1 if block else stride, family.expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        last = family.channels(128)
        self.tail = conv_bn(inputs, last, 1, activation=nn.ReLU6)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.tail(self.blocks(self.stem(x)))).flatten(1))
