"""The simplest thing that finds what is unlike: squares of normal pictures by a few of their principal components, and
its distance from the usual by them, or what they leave of it, as its score. numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SIDE = 12  # pixels of a square
FITTED = 200_000  # squares that the components are found on
By = Literal["left", "distance"]


def squares(picture: Floats) -> Floats:
    """(H, W) -> (H W, SIDE^2) the square around each pixel; at the edges the picture is mirrored."""
    before = SIDE // 2
    padded = np.pad(picture, ((before, SIDE - 1 - before),) * 2, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE)).reshape(-1, SIDE * SIDE)


@dataclass(frozen=True)
class PatchPca:
    """Principal components of squares (Pearson 1901, doi:10.1080/14786440109462720).

    Attributes:
        mean: (D,); components: (D, D), a column each, the largest first; variances: (D,) of each.
    """

    mean: Floats
    components: Floats
    variances: Floats

    @classmethod
    def of(cls, pictures: Floats, seed: int = 0) -> PatchPca:
        """Of (N, H, W) normal pictures, from squares at random places."""
        rng, count = np.random.default_rng(seed), -(-FITTED // len(pictures))
        drawn = np.concatenate([rng.choice(squares(one), count, replace=False) for one in pictures])
        mean = drawn.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((drawn - mean).T))  # rising
        return cls(mean, vectors[:, ::-1].astype(np.float32), values[::-1].astype(np.float32))

    def errors(self, pictures: Floats, kept: int, by: By) -> Floats:
        """(N, H, W) of the square around each pixel: ``left``, the squared error of its rebuilding by ``kept``
        components, or ``distance``, the squared Mahalanobis distance of its coordinates from the mean.
        """
        basis = self.components[:, :kept] / (np.sqrt(self.variances[:kept]) if by == "distance" else 1)
        found = []
        for one in pictures:
            rows = squares(one) - self.mean
            inside = np.square(rows @ basis).sum(axis=1)
            found.append(inside if by == "distance" else np.square(rows).sum(axis=1) - inside)
        return np.stack(found).reshape(pictures.shape).astype(np.float32)
