"""Augmentation as a pure function: view v of a sample depends on (seed, sample, v) and on nothing else.

So a view is exactly reproducible, in any batch and any order, and the teacher's answer to it can be kept
(Beyer et al. 2021, arXiv:2106.05237: the teacher must see the very same view).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray


@dataclass(frozen=True)
class Views:
    """Flips and crops of images.

    Attributes:
        seed: of the recipe.
        flip: mirror left and right, for half of the views.
        crop: zero padding in pixels, on each side, to crop the original size from.
        views: how many views there are; epoch e sees view e mod ``views``.
    """

    seed: int
    flip: bool = False
    crop: int = 0
    views: int = 1

    def apply(self, x: AnyArray, index: NDArray[np.int64], view: int) -> AnyArray:
        """View ``view`` of raw samples.

        Args:
            x: (N, H, W, C) images.
            index: (N,) the samples' numbers in the training split.
        """
        if not self.flip and not self.crop:
            return x
        bits = _mix(self.seed, index, view)
        if self.crop:
            x = self._cropped(x, bits)
        if self.flip:
            mirrored = (bits & np.uint64(1)).astype(bool)
            x = np.where(mirrored[:, None, None, None], x[:, :, ::-1], x)
        return x

    def _cropped(self, x: AnyArray, bits: NDArray[np.uint64]) -> AnyArray:
        pad, choices = self.crop, np.uint64(2 * self.crop + 1)
        top = ((bits >> np.uint64(8)) % choices).astype(np.int64)
        left = ((bits >> np.uint64(32)) % choices).astype(np.int64)
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        rows = top[:, None] + np.arange(x.shape[1])
        columns = left[:, None] + np.arange(x.shape[2])
        sample = np.arange(len(x))[:, None, None]
        return padded[sample, rows[:, :, None], columns[:, None, :]]


def _mix(seed: int, index: NDArray[np.int64], view: int) -> NDArray[np.uint64]:
    """64 random bits for each sample: splitmix64 (Steele et al. 2014) over seed, sample and view in turn."""
    with np.errstate(over="ignore"):
        bits = _splitmix(np.full(len(index), seed, dtype=np.uint64))
        bits = _splitmix(bits ^ index.astype(np.uint64))
        return _splitmix(bits ^ np.uint64(view))


def _splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
