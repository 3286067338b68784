"""An auto-encoder that answers how badly it rebuilds what it is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.models._base import conv_bn, initialise
from edgekd.learn.models._maps import check_image, resized, size_of

LEAST = 1e-6  # of a mean squared error: a thousandth of inputs of 0 to 1, less is rounding in 8 bits


@dataclass(frozen=True)
class AutoEncoder:
    """The logarithm of the mean squared error of a reconstruction (Hinton and Salakhutdinov 2006,
    doi:10.1126/science.1127647; as a score of anomalies Sakurada and Yairi 2014, doi:10.1145/2689746.2689747).

    What it learned to rebuild has a small error, and what is new a large one. The error is in the graph: every runtime
    answers with the score. Pictures go through convolutions, rows of numbers through linear layers. It wants inputs of
    about the size of 1.

    Attributes:
        width: channels of the first convolution, 1..1024, which double with every halving; of numbers each layer's.
        depth: halvings, 1..5; of numbers the layers on either side.
        code: channels at the narrowest place, 1..1024; of numbers how many.
        window: of pictures: the score is that of the worst square of so many pixels, half a square apart, which small
            defects show in; 0: of the whole picture.
    """

    width: int = 16
    depth: int = 3
    code: int = 8
    window: int = 0

    def __post_init__(self) -> None:
        plugins.check_ranges(self, width=(1, 1024), depth=(1, 5), code=(1, 1024), window=(0, 1024))

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) or (N, D) -> (N, 1).

        Raises:
            RecipeError: inputs that are neither, more outputs than one, or a window that is larger than the picture.
        """
        if classes != 1:
            what, allowed = "auto_encoder answers one score", 'one output, as of task = "anomaly"'
            raise RecipeError(what, where="model.kind", found=classes, allowed=allowed)
        if len(input_shape) == 1:
            if self.window:
                what = "a window is of pictures"
                raise RecipeError(what, where="model.window", found=self.window, allowed="0")
            return NumbersModule(input_shape[0], self)
        channels, height, width = check_image(input_shape, "auto_encoder")
        if self.window > min(height, width):
            allowed = f"at most {min(height, width)}, the size of the picture"
            raise RecipeError(
                "a window larger than the picture", where="model.window", found=self.window, allowed=allowed
            )
        return initialise(PicturesModule(channels, self))


class PicturesModule(nn.Module):
    """Down to small maps of a few channels, and up again by nearest neighbours and convolutions."""

    def __init__(self, channels: int, family: AutoEncoder) -> None:
        super().__init__()
        widths = [channels, *(family.width * 2**level for level in range(family.depth))]
        self.down = nn.ModuleList(conv_bn(widths[i], widths[i + 1], stride=2) for i in range(family.depth))
        self.squeeze = conv_bn(widths[-1], family.code, 1)
        ups = [family.code, *reversed(widths[1:])]
        self.up = nn.ModuleList(conv_bn(ups[i], ups[i + 1]) for i in range(family.depth))
        self.head = nn.Conv2d(ups[-1], channels, 3, padding=1)
        self.window = family.window

    def forward(self, x: Tensor) -> Tensor:
        maps, sizes = x, []
        for block in self.down:
            sizes.append(size_of(maps))
            maps = block(maps)
        maps = self.squeeze(maps)
        for block in self.up:
            maps = block(resized(maps, sizes.pop()))
        error = (x - self.head(maps)).square()
        if not self.window:
            return _score(error)
        by_pixel = error.mean(dim=1, keepdim=True)
        squares = nn.functional.avg_pool2d(by_pixel, self.window, max(1, self.window // 2))
        return torch.log(squares.flatten(1).amax(dim=1, keepdim=True) + LEAST)


class NumbersModule(nn.Module):
    """Linear layers down to the code, and up again."""

    def __init__(self, inputs: int, family: AutoEncoder) -> None:
        super().__init__()
        widths = [inputs, *[family.width] * family.depth, family.code, *[family.width] * family.depth]
        self.body = nn.Sequential(*(_layer(widths[i], widths[i + 1]) for i in range(len(widths) - 1)))
        self.head = nn.Linear(family.width, inputs)

    def forward(self, x: Tensor) -> Tensor:
        return _score((x - self.head(self.body(x))).square())


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU())


def _score(error: Tensor) -> Tensor:
    """(N, 1) the logarithm of the mean of (N, ...) squared errors."""
    return torch.log(error.flatten(1).mean(dim=1, keepdim=True) + LEAST)
