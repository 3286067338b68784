"""Images with a square missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws, as_type, check_share


@dataclass(frozen=True)
class Erase:
    """Erase a square around a random pixel; what would lie outside of the image falls away (arXiv:1708.04552, cutout).

    Attributes:
        probability: of a view to lack a square, 0 to 1.
        size: of the square's side, as a share of the image's shorter one, above 0, at most 1.
        fill: ``mean`` of the image, by channel, or ``zero``.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"images"})
    stays: ClassVar[bool] = True
    probability: float = 0.5
    size: float = 0.5
    fill: Literal["mean", "zero"] = "mean"

    def __post_init__(self) -> None:
        check_share("probability", self.probability)
        check_share("size", self.size, above=True)

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """x: (N, H, W, C)."""
        height, width = x.shape[1:3]
        side = max(1, round(self.size * min(height, width)))
        top, left = draws.integers(1, height) - side // 2, draws.integers(2, width) - side // 2
        erased = np.flatnonzero(draws.uniform(3) < self.probability)
        shown, fill = x.copy(), _means(x[erased]) if self.fill == "mean" else np.zeros((len(erased), 1), x.dtype)
        for i, colour in zip(erased, fill, strict=True):
            y, z = int(top[i]), int(left[i])
            shown[i, max(y, 0) : y + side, max(z, 0) : z + side] = colour
        return shown


def _means(x: AnyArray) -> AnyArray:
    """(N, C) the mean of each channel; column by column, so that a sum is rounded alike in every batch."""
    sums = x.sum(axis=1, dtype=None if x.dtype.kind == "f" else np.int64).sum(axis=1)
    return as_type((sums / (x.shape[1] * x.shape[2])).astype(np.float32), x)
