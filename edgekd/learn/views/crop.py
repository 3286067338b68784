"""Shifted images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws
from edgekd.tasks import IGNORED

MOST = 64


@dataclass(frozen=True)
class Crop:
    """Pad with zeros on each side, and crop the original size from a random place.

    Attributes:
        padding: in pixels, 1 to 64.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"images"})
    padding: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.padding <= MOST:
            raise ValueError(f"padding: allowed is 1 to {MOST}")

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """x: (N, H, W, C)."""
        pad = self.padding
        return self._cropped(np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))), draws)

    def masks(self, masks: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
        """See ``Moves``."""
        pad = self.padding
        padded = np.pad(masks, ((0, 0), (pad, pad), (pad, pad)), constant_values=IGNORED)
        return self._cropped(padded, draws)

    def points(self, points: NDArray[np.float32], draws: Draws, size: tuple[int, int]) -> NDArray[np.float32]:
        """See ``Moves``; a point may come to lie outside of the picture."""
        top, left = self._corners(draws)
        corners = np.stack([left, top], axis=1).astype(np.float32) - np.float32(self.padding)
        return points - corners[:, None]

    def _cropped(self, padded: AnyArray, draws: Draws) -> AnyArray:
        """(N, H, W, ...) of (N, H + 2 padding, W + 2 padding, ...)."""
        height, width = (length - 2 * self.padding for length in padded.shape[1:3])
        top, left = (corner.tolist() for corner in self._corners(draws))
        shown = np.empty((len(padded), height, width, *padded.shape[3:]), padded.dtype)
        for i, (y, z) in enumerate(zip(top, left, strict=True)):  # a tenth of the time of one gather for all
            shown[i] = padded[i, y : y + height, z : z + width]
        return shown

    def _corners(self, draws: Draws) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(N,) rows and (N,) columns of the padded pictures where the cropped ones begin."""
        choices = np.uint64(2 * self.padding + 1)
        return (draws.words(0) >> np.uint64(8)) % choices, (draws.words(0) >> np.uint64(32)) % choices
