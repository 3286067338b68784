"""Where points are in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.models._base import conv_bn, initialise
from edgekd.learn.models._maps import check_image, encoder, resized, size_of


@dataclass(frozen=True)
class KeypointNet:
    """x and y of K points, (N, 2 K): of linear layers over small maps, or of one heat map a point.

    A heat map's point is the mean of its cells' centres, weighed by their softmax (Sun et al. 2018, arXiv:1711.08229,
    eq. 4; Nibali et al. 2018, arXiv:1801.07372): it is in the graph, so that an app is given points by either. Maps
    have a quarter of the picture's height and width. Their layer ``heat`` is what ``channel_wise`` and ``heat_map``
    look at.

    Attributes:
        width: channels of the first maps, 1..1024; they double with every halving.
        stages: halvings, 2..6.
        depth: 3x3 convolutions of each stage, 1..16.
        form: ``values`` or ``heat_maps``.
        picture: height and width of the picture in the unit of the labels; (0, 0): those that the network is given.
    """

    width: int = 16
    stages: int = 4
    depth: int = 1
    form: Literal["values", "heat_maps"] = "values"
    picture: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        plugins.check_ranges(self, width=(1, 1024), stages=(2, 6), depth=(1, 16))
        if min(self.picture) < 0 or (min(self.picture) == 0 and max(self.picture) > 0):
            raise ValueError("picture: allowed are a height and a width from 1, or 0 and 0")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes), x and y of one point after another.

        Raises:
            RecipeError: no image, or no pairs of numbers.
        """
        channels, height, width = check_image(input_shape, "keypoint_net")
        if classes % 2:
            allowed = "x and y of each point"
            raise RecipeError("points have two numbers", where="model.kind", found=classes, allowed=allowed)
        if self.form == "values":
            return initialise(ValuesModule((channels, height, width), classes, self))
        picture = self.picture if self.picture[0] else (height, width)
        return initialise(HeatMapsModule(channels, classes // 2, self, picture))


class ValuesModule(nn.Module):
    """Linear layers over all cells of the last maps: a mean over them would know no place."""

    def __init__(self, shape: tuple[int, int, int], outputs: int, family: KeypointNet) -> None:
        super().__init__()
        self.stages, last = encoder(shape[0], family.width, family.stages, family.depth)
        height, width = (-(-size // 2**family.stages) for size in shape[1:])
        self.squeeze = conv_bn(last, family.width * 2, 1)
        self.inner = nn.Sequential(nn.Linear(family.width * 2 * height * width, family.width * 8), nn.ReLU())
        self.head = nn.Linear(family.width * 8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return self.head(self.inner(self.squeeze(x).flatten(1)))


class HeatMapsModule(nn.Module):
    """An encoder, and a decoder to maps of a quarter of the size, of which the points are read."""

    in_units = True  # the picture is the scale, not the spread of the labels

    def __init__(self, channels: int, points: int, family: KeypointNet, picture: tuple[int, int]) -> None:
        super().__init__()
        self.stages, last = encoder(channels, family.width, family.stages, family.depth)
        width = family.width * 4
        self.context = conv_bn(last, width)
        self.fuse = conv_bn(width + family.width * 2, width)
        self.heat = nn.Conv2d(width, points, 1, bias=False)  # a softmax sees no shift of a whole map
        self.points = SoftArgmax(picture)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stages[1](self.stages[0](x))
        edges = y
        for stage in self.stages[2:]:
            y = stage(y)
        y = resized(self.context(y), size_of(edges))
        return self.points(self.heat(self.fuse(torch.cat([y, edges], 1))))


class SoftArgmax(nn.Module):
    """(N, K, h, w) heat maps -> (N, 2 K): x and y of each map's mean, in pixels of a picture of (height, width).

    Cell i of n lies at (i + 1/2) size / n - 1/2: the centre of the first pixel is 0.
    """

    def __init__(self, picture: tuple[int, int]) -> None:
        super().__init__()
        self.picture = picture

    def forward(self, heat: Tensor) -> Tensor:
        height, width = size_of(heat)
        share = heat.flatten(2).softmax(-1).reshape(heat.shape[0], heat.shape[1], height, width)
        x = (share.sum(2) * _centres(width, self.picture[1], heat)).sum(-1)
        y = (share.sum(3) * _centres(height, self.picture[0], heat)).sum(-1)
        return torch.stack([x, y], -1).flatten(1)


def _centres(cells: int, size: int, like: Tensor) -> Tensor:
    """(cells,) where each lies, in pixels."""
    return (torch.arange(cells, dtype=like.dtype, device=like.device) + 0.5) * (size / cells) - 0.5
