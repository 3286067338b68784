"""Mirrored images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws


@dataclass(frozen=True)
class Flip:
    """Mirror left and right, half of the views."""

    reads: ClassVar[frozenset[str]] = frozenset({"images"})

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """x: (N, H, W, C)."""
        mirrored = (draws.words(0) & np.uint64(1)).astype(bool)
        shown = x.copy()
        some = np.ascontiguousarray(x[mirrored])
        pixels = some.view(np.dtype((np.void, x.shape[3] * x.itemsize)))  # moved whole: half of the time
        shown[mirrored] = np.ascontiguousarray(pixels[:, :, ::-1]).view(x.dtype)
        return shown
