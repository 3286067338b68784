"""How far points are from where they should be, by the size of what they are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.metrics._base import Against, PerSample, Scores, row_means

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NormalisedMeanError(PerSample):
    """minus the mean over n of  (mean over the points k that are known of n of |s_nk - y_nk|) / d_n, at most 0: as
    every metric here, the larger the better.

    d_n is the distance between the means of two groups of a sample's labelled points, such as the centres of the eyes
    (Sagonas et al. 2013, doi:10.1109/ICCVW.2013.59); without groups the square root of the area of the box around all
    of them (Bulat and Tzimiropoulos 2017, arXiv:1703.07332). A sample without a known size is left out, as one without
    a known point.

    Attributes:
        left, right: the numbers of the points of each group; both or neither.
    """

    share: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "labels"
    partly: ClassVar[bool] = True
    left: tuple[int, ...] = ()
    right: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            if min(getattr(self, name), default=0) < 0:
                raise ValueError(f"{name}: allowed are numbers of points, from 0")
        if bool(self.left) != bool(self.right):
            raise ValueError("right: allowed are points where left has some, and none where it has none")

    def per_sample(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> Floats:
        """See ``PerSample``: NaN of a sample that is left out; scores, wanted: (N, 2 K), x and y of one point after
        another, or (N, K, 2).

        Raises:
            RecipeError: an odd count of numbers, or a group with a point that there is none of.
        """
        if scores[0].size % 2:
            raise RecipeError("points have two numbers", where="metric", found=scores[0].size, allowed="x and y")
        answered, right = (points.reshape(len(scores), -1, 2).astype(np.float64) for points in (scores, wanted))
        if max(self.left + self.right, default=0) >= right.shape[1]:
            allowed = f"0 to {right.shape[1] - 1}"
            point = max(self.left + self.right)
            raise RecipeError("no such point", where="metric", found=point, allowed=allowed)
        gaps = np.sqrt(np.square(answered - right).sum(axis=2))
        known = np.asarray(~np.isnan(right).any(axis=2))
        means, size = row_means(gaps, known), self._sizes(right)
        return -means / np.where(np.isfinite(size) & (size > 0), size, np.nan)

    def _sizes(self, points: Floats) -> Floats:
        """(N,) d_n; NaN where a point that it needs is not known."""
        if self.left:
            apart = points[:, list(self.left)].mean(axis=1) - points[:, list(self.right)].mean(axis=1)
            return np.asarray(np.sqrt(np.square(apart).sum(axis=1)))
        whole = np.isnan(points).any(axis=2, keepdims=True)
        low = np.where(whole, np.inf, points).min(axis=1)
        high = np.where(whole, -np.inf, points).max(axis=1)
        sides = np.where(np.isfinite(high - low), high - low, np.nan)
        return np.asarray(np.sqrt(sides.prod(axis=1)))
