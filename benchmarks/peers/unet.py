"""A small U-Net whose last map is averaged into scores: bilinear upsampling and concatenation, as peers meet them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def twice(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """(N, 1, H, W) images, H and W divisible by 4, -> (N, classes).

    Args:
        width: channels at full size; they double with every halving.
    """

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.first, self.second, self.middle = (
            twice(1, width),
            twice(width, 2 * width),
            twice(2 * width, 4 * width),
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.up_second, self.up_first = twice(6 * width, 2 * width), twice(3 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        full = self.first(x)
        half = self.second(self.pool(full))
        y = self.middle(self.pool(half))
        y = self.up_second(torch.cat([self.up(y), half], 1))
        y = self.up_first(torch.cat([self.up(y), full], 1))
        return self.head(y).mean((2, 3))
