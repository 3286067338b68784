"""A U-Net: down to small maps and up again, with the maps of the way down beside those of the way up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekd.learn.models._base import conv_bn, initialise
from edgekd.learn.models._maps import MapsAndRows, check_image, of_maps, resized, size_of, twice
from edgekd.tasks import Heads


@dataclass(frozen=True)
class Unet:
    """Scores of every pixel (Ronneberger et al. 2015, arXiv:1505.04597), with padding, BatchNorm and fewer channels.

    Maps grow by nearest neighbours and a convolution (Odena et al. 2016, doi:10.23915/distill.00003): a resize that
    runtimes keep in 8 bits, and which leaves no checkerboard as a transposed convolution does.

    Attributes:
        width: channels of the largest maps, 1..1024; they double with every halving.
        depth: halvings, 1..5.
        stride: of the first convolution, 1, 2 or 4: all maps are smaller by that, and the scores are resized at the
            end.
    """

    width: int = 16
    depth: int = 3
    stride: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 1024:
            raise ValueError("width: allowed is 1 to 1024")
        if not 1 <= self.depth <= 5:
            raise ValueError("depth: allowed is 1 to 5")
        if self.stride not in (1, 2, 4):
            raise ValueError("stride: allowed is 1, 2 or 4")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes, H, W)."""
        channels, _, _ = check_image(input_shape, "unet")
        return initialise(UnetModule(channels, classes, self))

    def build_heads(self, input_shape: tuple[int, ...], heads: Heads) -> nn.Module:
        """See ``HeadsFamily``: maps of classes of the input's size, and of the smallest maps' means scores in a row."""
        if (classes := of_maps(input_shape, heads, "unet")) is not None:
            return self.build(input_shape, classes)
        deep = self.width * 2**self.depth
        return initialise(UnetModule(input_shape[0], 0, self, MapsAndRows(heads, self.width, deep)))


class UnetModule(nn.Module):
    """The module of ``Unet``; ``several``: its answers, where it has more than one."""

    def __init__(self, channels: int, classes: int, family: Unet, several: MapsAndRows | None = None) -> None:
        super().__init__()
        widths = [family.width * 2**level for level in range(family.depth + 1)]
        self.stem = conv_bn(channels, widths[0], stride=family.stride)
        self.first = conv_bn(widths[0], widths[0])
        self.pool = nn.MaxPool2d(2, ceil_mode=True)  # of a map of one pixel one is left
        self.down = nn.ModuleList(twice(widths[i], widths[i + 1]) for i in range(family.depth))
        self.up = nn.ModuleList(twice(widths[i] + widths[i + 1], widths[i]) for i in reversed(range(family.depth)))
        self.head = nn.Conv2d(widths[0], classes, 1) if several is None else several

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        maps = [self.first(self.stem(x))]
        for block in self.down:
            maps.append(block(self.pool(maps[-1])))
        y = deepest = maps.pop()
        for block in self.up:
            beside = maps.pop()
            y = block(torch.cat([resized(y, size_of(beside)), beside], 1))
        if isinstance(self.head, MapsAndRows):
            return self.head(y, deepest, size_of(x))
        return resized(self.head(y), size_of(x), "bilinear")
