"""Inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381), sized for small images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.learn.models._base import conv_bn, initialise

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu6": nn.ReLU6, "swish": nn.SiLU, "hardswish": nn.Hardswish}
STAGES = ((16, 1, 1), (24, 2, 2), (40, 2, 2), (64, 1, 1))  # about 87,000 parameters at width 1 and 10 classes
MOST = 1024  # channels, and blocks


@dataclass(frozen=True)
class Mobilenet:
    """A MobileNetV2-like net for 28x28 to 64x64 images.

    Attributes:
        width: factor on every channel count, 0.1 to 8.
        expansion: of the inverted residuals, 1 to 12.
        stages: of each its channels at width 1, how many blocks it has (1 to 1024) and the stride of the first, 1 to 4.
        stem, tail: channels at width 1 of the first convolution, and of the last one before the mean; 0: there is no
            such last one, whose weights are a third of all.
        stem_stride: stride of the first convolution, 1 to 4.
        activation: ``relu6``; or ``swish`` (Ramachandran et al. 2017, arXiv:1710.05941), or ``hardswish``.
        squeeze: whether the channels of each block are weighed by what they hold (squeeze-and-excitation, Hu et al.
            2018, arXiv:1709.01507), as in EfficientNet.
    """

    width: float = 1.0
    expansion: int = 4
    stages: tuple[tuple[int, int, int], ...] = STAGES
    stem: int = 16
    tail: int = 128
    stem_stride: int = 1
    activation: str = "relu6"
    squeeze: bool = False

    def __post_init__(self) -> None:
        plugins.check_ranges(self, width=(0.1, 8), expansion=(1, 12), stem_stride=(1, 4))
        ranges = ((1, MOST), (1, MOST), (1, 4))
        fits = all(low <= n <= high for stage in self.stages for n, (low, high) in zip(stage, ranges, strict=True))
        if not self.stages or not fits:
            raise ValueError("stages: allowed are [channels 1 to 1024, blocks 1 to 1024, stride 1 to 4] of each")
        if not 1 <= self.stem <= MOST or not 0 <= self.tail <= MOST:
            raise ValueError("stem, tail: allowed is 1 to 1024, for the tail also 0")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: found {self.activation!r}; allowed: {', '.join(ACTIVATIONS)}")

    def channels(self, base: int) -> int:
        """A channel count at this width: a multiple of 8, at least 8."""
        return max(8, int(base * self.width + 4) // 8 * 8)

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes)."""
        return initialise(MobilenetModule(input_shape[0], classes, self))


class Squeeze(nn.Module):
    """Weighs each channel, 0..1, by two small layers over the means of all."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce, self.expand = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)
        self.activation, self.gate = nn.ReLU(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.activation(self.reduce(self.pool(x)))))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, family: Mobilenet) -> None:
        super().__init__()
        hidden, activation = inputs * family.expansion, ACTIVATIONS[family.activation]
        expand = [conv_bn(inputs, hidden, 1, activation=activation)] if family.expansion > 1 else []
        depthwise = conv_bn(hidden, hidden, stride=stride, groups=hidden, activation=activation)
        squeeze = [Squeeze(hidden, max(8, inputs // 4))] if family.squeeze else []
        self.body = nn.Sequential(*expand, depthwise, *squeeze, conv_bn(hidden, outputs, 1, activation=None))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class MobilenetModule(nn.Module):
    """The module of ``Mobilenet``."""

    def __init__(self, channels: int, classes: int, family: Mobilenet) -> None:
        super().__init__()
        inputs, activation = family.channels(family.stem), ACTIVATIONS[family.activation]
        self.stem = conv_bn(channels, inputs, stride=family.stem_stride, activation=activation)
        blocks = []
        for base, count, stride in family.stages:
            outputs = family.channels(base)
            for block in range(count):
                blocks.append(InvertedResidual(inputs, outputs, 1 if block else stride, family))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        last = family.channels(family.tail) if family.tail else inputs
        self.tail = conv_bn(inputs, last, 1, activation=activation) if family.tail else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.tail(self.blocks(self.stem(x)))).flatten(1))
