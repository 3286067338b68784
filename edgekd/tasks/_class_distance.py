"""How near scores are to those that the classes usually get, against how near to scores of any class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.tasks._base import Floats

Row = tuple[float, ...]


@dataclass(frozen=True)
class ClassDistance:
    """The relative Mahalanobis distance of K scores s to the means of C classes, the larger the nearer.

    With u = axes (s - shift), in R coordinates::

        sum_i weights_i u_i^2 - min_c |u - means_c|^2

    That is twice the logarithm of how much likelier s is under the nearest class than under all classes taken as one,
    both normal, but for a constant (Ren et al. 2021, A Simple Fix to Mahalanobis Distance, arXiv:2106.09022). The axes
    are linear discriminants: along each the scores of one class have variance 1, and those of all 1 / weight. Where
    class means do not differ the two cancel, so that C - 1 axes are all.

    Attributes:
        shift: (K,) the mean of all scores.
        axes: (R, K); means: (C, R) of the classes; weights: (R,) 0..1.
    """

    shift: Row
    axes: tuple[Row, ...]
    means: tuple[Row, ...]
    weights: Row

    def nearness(self, scores: AnyArray) -> Floats:
        """(N,) of (N, K) scores."""
        return np.asarray(self._by_class(scores).max(axis=1))

    def bounds(self, scores: AnyArray, change: float) -> tuple[float, float]:
        """Between which it lies where each of (K,) scores moves by at most ``change``."""
        axes, rest = np.array(self.axes), 1 - np.array(self.weights)
        of_class = self._by_class(scores[None])[0]
        slopes = (np.array(self.means) - rest * self._coordinates(scores[None])) @ axes * 2
        moved = change * np.abs(slopes).sum(axis=1)
        curved = float((rest * (change * np.abs(axes).sum(axis=1)) ** 2).sum())
        return float((of_class - moved).max() - curved), float((of_class + moved).max())

    def _coordinates(self, scores: AnyArray) -> Floats:
        return np.asarray((scores.astype(np.float64) - np.array(self.shift)) @ np.array(self.axes).T)

    def _by_class(self, scores: AnyArray) -> Floats:
        """(N, C)."""
        u = self._coordinates(scores)
        squares = np.square(u[:, None] - np.array(self.means)).sum(axis=2)
        return np.asarray((np.array(self.weights) * u * u).sum(axis=1)[:, None] - squares)
