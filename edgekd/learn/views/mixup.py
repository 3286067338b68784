"""Two samples in one, blended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws, as_type, check_alpha, check_share


@dataclass(frozen=True)
class Mixup:
    """l x_i + (1 - l) x_j of sample i and a partner j, l drawn from Beta(alpha, alpha) (arXiv:1710.09412).

    A loss that compares labels takes those of both, by l and 1 - l. Whole numbers are rounded.

    Attributes:
        alpha: 1 is even; smaller, most views are nearly one of the two; above 0, at most 100.
        probability: of a view to be mixed, 0 to 1.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"images", "sounds", "vectors"})
    alpha: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_share("probability", self.probability)

    def coefficient(self, shape: tuple[int, ...], draws: Draws) -> NDArray[np.float64]:
        """(N,) l."""
        return np.where(draws.uniform(1) < self.probability, draws.beta(2, self.alpha), 1.0)

    def __call__(self, x: AnyArray, draws: Draws, partners: AnyArray) -> AnyArray:
        """x, partners: (N, ...)."""
        share = self.coefficient(x.shape[1:], draws).astype(np.float32).reshape(-1, *[1] * (x.ndim - 1))
        return as_type(share * x.astype(np.float32) + (1 - share) * partners.astype(np.float32), x)
