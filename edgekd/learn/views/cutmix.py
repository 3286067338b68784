"""Two images in one, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws, check_alpha, check_share


@dataclass(frozen=True)
class Cutmix:
    """Paste a box of a partner into an image (arXiv:1905.04899).

    The box has sqrt(1 - l) of the height and of the width, l drawn from Beta(alpha, alpha), and lies around a random
    pixel; what would lie outside falls away. A loss that compares labels takes those of both, by their areas.

    Attributes:
        alpha: 1 is even; smaller, most boxes hold nearly nothing or nearly all; above 0, at most 100.
        probability: of a view to be mixed, 0 to 1.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"images"})
    alpha: float = 1.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_share("probability", self.probability)

    def coefficient(self, shape: tuple[int, ...], draws: Draws) -> NDArray[np.float64]:
        """(N,) the share of the image that stays. shape: (H, W, C)."""
        top, bottom, left, right = self._boxes(shape, draws)
        return 1 - (bottom - top) * (right - left) / (shape[0] * shape[1])

    def __call__(self, x: AnyArray, draws: Draws, partners: AnyArray) -> AnyArray:
        """x, partners: (N, H, W, C)."""
        shown = x.copy()
        for i, (top, bottom, left, right) in enumerate(self._boxes(x.shape[1:], draws).T.tolist()):
            shown[i, top:bottom, left:right] = partners[i, top:bottom, left:right]
        return shown

    def _boxes(self, shape: tuple[int, ...], draws: Draws) -> NDArray[np.int64]:
        """(4, N): top, bottom, left, right."""
        side = np.sqrt(1 - draws.beta(2, self.alpha)) * (draws.uniform(1) < self.probability)
        ends: list[NDArray[np.int64]] = []
        for number, length in enumerate(shape[:2], start=3):
            pixels = np.rint(side * length).astype(np.int64)
            start = draws.integers(number, length) - pixels // 2
            ends += [start.clip(0, length), (start + pixels).clip(0, length)]
        return np.stack(ends)
