"""Mirrored images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.learn.views._base import Draws


@dataclass(frozen=True)
class Flip:
    """Mirror left and right, half of the views; masks and points with the pictures.

    Attributes:
        swap: pairs of points, by number, that change places: the left eye of a mirrored face is its right one. Points
            that no pair names are mirrored alone; [[0, 0]] where none changes.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"images"})
    swap: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        numbers = [number for pair in self.swap for number in {*pair}]
        if min(numbers, default=0) < 0 or len({*numbers}) < len(numbers):
            raise ValueError("swap: allowed are pairs of numbers of points, from 0, each point in one pair at most")

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """x: (N, H, W, C)."""
        mirrored = self._mirrored(draws)
        shown = x.copy()
        some = np.ascontiguousarray(x[mirrored])
        pixels = some.view(np.dtype((np.void, x.shape[3] * x.itemsize)))  # moved whole: half of the time
        shown[mirrored] = np.ascontiguousarray(pixels[:, :, ::-1]).view(x.dtype)
        return shown

    def masks(self, masks: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
        """See ``Moves``."""
        return np.where(self._mirrored(draws)[:, None, None], masks[:, :, ::-1], masks)

    def points(self, points: NDArray[np.float32], draws: Draws, size: tuple[int, int]) -> NDArray[np.float32]:
        """See ``Moves``: x is width - 1 - x, since the centre of the first pixel is 0.

        Raises:
            RecipeError: no pair, or one of a point that there is none of.
        """
        order, count = np.arange(points.shape[1]), points.shape[1]
        if not self.swap:
            allowed = "pairs of points that change places, as {kind = 'flip', swap = [[0, 1]]} of [[augment.ops]]"
            raise RecipeError("mirrored points change places", where="augment: flip: swap", allowed=allowed)
        if (most := max(map(max, self.swap))) >= count:
            allowed = f"0 to {count - 1}"
            raise RecipeError("no such point", where="augment: flip: swap", found=most, allowed=allowed)
        for one, other in self.swap:
            order[[one, other]] = other, one
        other_side = points[:, order] * np.array([-1, 1], np.float32) + np.array([size[1] - 1, 0], np.float32)
        return np.where(self._mirrored(draws)[:, None, None], other_side, points)

    @staticmethod
    def _mirrored(draws: Draws) -> NDArray[np.bool_]:
        """(N,) which samples are."""
        return (draws.words(0) & np.uint64(1)).astype(bool)
