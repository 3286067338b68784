"""A small EfficientNet: inverted residuals with depthwise convolutions, swish and squeeze-and-excite."""

from __future__ import annotations

from torch import Tensor, nn


class Gate(nn.Module):
    """Each channel times a number from 0 to 1 that all channels' means give."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.SiLU(),
            nn.Conv2d(inner, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * self.gate(x)
        return gated


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, swish."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class Inverted(nn.Module):
    """Wider, depthwise, gated, narrower; added to what came in where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int = 4) -> None:
        super().__init__()
        wide = inputs * expand
        self.layers = nn.Sequential(
            conv(inputs, wide, 1),
            conv(wide, wide, 3, stride, wide),
            Gate(wide, inputs // 2),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


class EfficientNet(nn.Module):
    """(N, 1, H, W) images -> (N, classes)."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(1, width, 3, 2),
            Inverted(width, width, 1),
            Inverted(width, 2 * width, 2),
            Inverted(2 * width, 2 * width, 1),
            Inverted(2 * width, 4 * width, 2),
            Inverted(4 * width, 4 * width, 1),
            conv(4 * width, 8 * width, 1),
        )
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layers(x).mean((2, 3)))
        return scores
