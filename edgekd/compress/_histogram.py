"""The distribution of a stream of numbers in fixed memory, and the ranges that can be read from it.

Bins are as wide as a power of two and meet at its multiples. When the stream outgrows them, their width doubles and
two bins become one, so nothing is split or guessed: neither the order of the stream nor how it is cut into batches
changes a count.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

SIDE = 2048  # bins on each side of zero, of which at least half are used on the side of the largest number
CANDIDATES = 64
LEAST = 0.2  # of the whole range, that a candidate covers
CHUNK = 1 << 16  # numbers at a time: they stay in the processor's cache

Grid = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Histogram:
    """Counts, sums and sums of squares of 2 x 2,048 bins: 96 KiB, whatever was seen."""

    def __init__(self) -> None:
        self.exponent: int | None = None
        self.low, self.high = math.inf, -math.inf
        self.moments = torch.zeros(3, 2 * SIDE, dtype=torch.float64)

    @property
    def width(self) -> float:
        """Of a bin."""
        return 2.0 ** (self.exponent or 0)

    def add(self, x: Tensor) -> None:
        """Count numbers of any shape; those that are not finite are left out."""
        flat = x.detach().reshape(-1).float()
        if flat.numel() == 0:
            return
        low, high = (float(end) for end in torch.aminmax(flat))
        if not math.isfinite(low + high):
            self.add(flat[torch.isfinite(flat)])
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._grow(max(abs(self.low), abs(self.high)))
        for part in flat.split(CHUNK):
            number = torch.floor(part * 2.0 ** -(self.exponent or 0)).long().add_(SIDE)
            exact = part.double()
            for row, values in zip(self.moments, (torch.ones_like(exact), exact, exact * exact), strict=True):
                row.scatter_add_(0, number, values)

    def _grow(self, largest: float) -> None:
        """Double the width until the largest number has a bin."""
        wanted = max(math.frexp(largest / SIDE)[1], -100) if largest else -100
        if self.exponent is None:
            self.exponent = wanted
        while self.exponent < wanted:
            pairs = self.moments.reshape(3, SIDE, 2).sum(dim=2)
            self.moments.zero_()
            self.moments[:, SIDE // 2 : SIDE + SIDE // 2] = pairs
            self.exponent += 1

    def percentile(self, percent: float) -> tuple[float, float]:
        """The range that holds all but (100 - percent) % of the numbers on each side; each end within a bin of it."""
        counts = self.moments[0]
        below, total = counts.cumsum(0), float(counts.sum())
        share = total * percent / 100
        at_high = int(torch.searchsorted(below, share))
        at_low = 2 * SIDE - 1 - int(torch.searchsorted(counts.flip(0).cumsum(0), share))
        low, high = (at_low - SIDE) * self.width, (min(at_high, 2 * SIDE - 1) + 1 - SIDE) * self.width
        return max(low, self.low), min(high, self.high)

    def least_error(self, grid: Grid, lowest: int, highest: int) -> tuple[float, float]:
        """The range whose rounding has the least squared error; that of all numbers where none is surely better.

        Sought among shrunken ranges: both ends alike, then the lower one alone, then the upper one.

        Args:
            grid: (low, high) ranges -> their scales and zero points.
            lowest, highest: of the rounded numbers.
        """
        share = torch.linspace(LEAST, 1.0, CANDIDATES, dtype=torch.float64)
        one, low, high = torch.ones_like(share), min(self.low, 0.0), max(self.high, 0.0)
        whole = (low, high)
        for shrunk in ((share, share), (share, one), (one, share)):
            lows, highs = low * shrunk[0], high * shrunk[1]
            best = int(self._error(*grid(lows, highs), lowest, highest)[0].argmin())
            low, high = float(lows[best]), float(highs[best])
        ends = torch.tensor([[low, whole[0]], [high, whole[1]]], dtype=torch.float64)
        most, least = self._error(*grid(ends[0], ends[1]), lowest, highest)
        return (low, high) if float(most[0]) <= float(least[1]) else whole

    def _error(self, scale: Tensor, zero: Tensor, lowest: int, highest: int) -> tuple[Tensor, Tensor]:
        """(K,) the most and the least that the squared error of each of K grids can be.

        The mean of a bin says where its numbers are rounded to: their squares and their sum then give the error. Of a
        bin that is cut by the border between two steps this is the most; its numbers lie within a bin of the border.
        """
        used = self.moments[0] > 0
        count, sums, squares = (row[used].unsqueeze(0) for row in self.moments)
        left = ((torch.arange(2 * SIDE, dtype=torch.float64) - SIDE) * self.width)[used].unsqueeze(0)
        scale, zero = scale.double().reshape(-1, 1), zero.double().reshape(-1, 1)

        def step(x: Tensor) -> Tensor:
            return torch.clamp(torch.round(x / scale) + zero, lowest, highest)

        near = (step(sums / count) - zero) * scale
        most = (squares - 2 * near * sums + near * near * count).clamp(min=0)
        cut = step(left) != step(left + self.width)
        least = torch.where(cut, count * (scale / 2 - self.width).clamp(min=0) ** 2, most)
        return most.sum(dim=1), torch.minimum(least, most).sum(dim=1)
