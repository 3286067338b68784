"""A convolutional net over time, for series of numbers such as those of an accelerometer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.base.errors import RecipeError


@dataclass(frozen=True)
class SensorCnn:
    """Convolutions over time with BatchNorm and ReLU, the mean over time, and a linear layer.

    As Wang et al. 2017 (arXiv:1611.06455), whose widths and kernels are its own; strides in place of full length.

    Attributes:
        width: of the first convolution, 1..1024; each later one that halves the time has twice the width.
        depth: convolutions, 1..16.
        kernel: steps that each sees, odd, 1..31.
        strides: of the convolutions, 1..8 each; those that are not named have 1.
        dropout: the share of the mean's channels that training leaves out, 0 <= p < 1.
    """

    width: int = 16
    depth: int = 3
    kernel: int = 5
    strides: tuple[int, ...] = (2, 2, 2)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, least, most in (("width", 1, 1024), ("depth", 1, 16), ("kernel", 1, 31)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: allowed is {least} to {most}")
        if self.kernel % 2 == 0:
            raise ValueError("kernel: allowed are odd numbers")
        if len(self.strides) > self.depth or not all(1 <= stride <= 8 for stride in self.strides):
            raise ValueError("strides: allowed are at most depth of them, each 1 to 8")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout: allowed is 0 <= p < 1")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, T, C) series -> (N, classes).

        Raises:
            RecipeError: no series.
        """
        if len(input_shape) != 2:
            raise RecipeError("sensor_cnn takes series", where="model.kind", found=input_shape, allowed="(T, C)")
        return SensorCnnModule(input_shape[1], classes, self)


class SensorCnnModule(nn.Module):
    """The module of ``SensorCnn``."""

    def __init__(self, channels: int, classes: int, family: SensorCnn) -> None:
        super().__init__()
        blocks, width = [], family.width
        for number in range(family.depth):
            stride = family.strides[number] if number < len(family.strides) else 1
            width = width * 2 if number and stride > 1 else width
            blocks.append(_block(channels, width, family.kernel, stride))
            channels = width
        self.body = nn.Sequential(*blocks)
        self.dropout, self.head = nn.Dropout(family.dropout), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(x.transpose(1, 2)).mean(2)))


def _block(channels: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv1d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(width), nn.ReLU())
