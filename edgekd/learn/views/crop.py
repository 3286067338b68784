"""Shifted images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws

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
        pad, choices, (height, width) = self.padding, np.uint64(2 * self.padding + 1), x.shape[1:3]
        top = ((draws.words(0) >> np.uint64(8)) % choices).tolist()
        left = ((draws.words(0) >> np.uint64(32)) % choices).tolist()
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        shown = np.empty_like(x)
        for i, (y, z) in enumerate(zip(top, left, strict=True)):  # a tenth of the time of one gather for all
            shown[i] = padded[i, y : y + height, z : z + width]
        return shown
