"""The bootstrap: how sure a metric's value is, from resamples of the samples that it was taken over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FEWEST, MOST = 200, 1000  # resamples
COPIED = 2 * 10**8  # values that all resamples of one bootstrap may copy


@dataclass(frozen=True)
class Resamples:
    """Resamples with replacement, drawn anew each time they are gone through: 1,000 of 20,000 samples are 160 MB.

    Attributes:
        count: how many.
        samples: of how many samples, and so many each.
        seed: the same one draws the same.
        groups: (samples,) a number for each, from 0: whole groups are drawn, the samples of one in their order.
    """

    count: int
    samples: int
    seed: int
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        rng = np.random.default_rng(self.seed)
        if self.groups is None:
            return (rng.integers(0, self.samples, self.samples) for _ in range(self.count))
        sizes = np.bincount(self.groups)
        rows, starts = np.argsort(self.groups, kind="stable"), np.cumsum(sizes) - sizes
        drawn = (rng.integers(0, len(sizes), len(sizes)) for _ in range(self.count))
        return (rows[_spans(starts[of], sizes[of])] for of in drawn)

    def first(self, most: int) -> Resamples:
        """At most so many of them."""
        return replace(self, count=min(most, self.count))


def _spans(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of each span, one span after the other."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - (ends - sizes), sizes) + np.arange(int(ends[-1]))


def draws(samples: int, values: int = 1, seed: int = 0, groups: NDArray[np.int64] | None = None) -> Resamples:
    """Resamples with replacement: 1,000, or fewer where a sample has many values to copy; ``groups``: see there."""
    return Resamples(min(MOST, max(FEWEST, COPIED // max(samples * values, 1))), samples, seed, groups)


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of a bootstrap: its percentiles (Efron and Tibshirani 1993, chapter 13)."""
    low, high = np.percentile(np.asarray(values), [2.5, 97.5])
    return float(low), float(high)
