"""Images in other light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws, as_type, check_share

GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True)
class Colour:
    """Another brightness, contrast and saturation: x <- b x, then c x + (1 - c) mean(grey), then s x + (1 - s) grey.

    Each of b, c and s is drawn evenly from 1 - strength to 1 + strength (Howard 2013, arXiv:1312.5402). Of one channel
    grey is that one; a fourth channel stays as it is. Whole numbers are rounded, and kept in the range of their type.

    Attributes:
        brightness: strength, 0 to 1.
        contrast: strength, 0 to 1.
        saturation: strength, 0 to 1.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"images"})
    stays: ClassVar[bool] = True
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            check_share(name, getattr(self, name))

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """x: (N, H, W, C)."""
        channels = min(3, x.shape[3])
        planes = np.empty((channels, *x.shape[:3]), np.float32)  # a channel in one piece: a third of the time
        np.copyto(np.moveaxis(planes, 0, 3), x[..., :channels])
        grey = _grey(planes)
        b, c, s = (
            (1 + strength * (2 * draws.uniform(number) - 1)).astype(np.float32)[:, None, None]
            for number, strength in enumerate((self.brightness, self.contrast, self.saturation), start=1)
        )
        # The three in turn are one sum: grey is linear, so that grey(a x + d) = a grey(x) + d.
        a, d = b * c, b * (1 - c) * _mean(grey)
        shown, added = x.copy(), (1 - s) * a * grey + d
        for channel, plane in enumerate(planes):
            plane *= s * a
            plane += added
            shown[..., channel] = as_type(plane, x)
        return shown


def _grey(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, H, W) of (C, N, H, W). A sum written out: a matrix product is rounded otherwise in another batch."""
    if len(planes) == 1:
        return planes[0].copy()
    red, green, blue = (np.float32(share) * plane for share, plane in zip(GREY, planes, strict=True))
    return red + green + blue


def _mean(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 1, 1) of (N, H, W), each summed along memory."""
    flat = images.reshape(len(images), -1)
    return (flat.sum(axis=1) / np.float32(flat.shape[1]))[:, None, None]
