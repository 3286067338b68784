"""Made series of several sensors that can be learned: movements, each of its pace. For ``--quick`` and for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData

SLOWEST, FASTEST = 2.0, 12.0  # periods of a movement in a series


@dataclass(frozen=True)
class MadeSeries(MadeData):
    """Seeded (N, steps, channels) float32; a class is a pace, and how much of it each channel sees.

    Pace and phase of every series vary, and so does the noise.

    Attributes:
        steps: of a series, 16 to 4096.
        channels: numbers of each step, 1 to 64.
        names: of the classes, 2 to 100.
        noise: standard deviation of what no movement makes, in that of the movement, 0 to 10.
        train, validation, test: samples of each split.
        seed: of everything made.
    """

    steps: int = 64
    channels: int = 6
    names: tuple[str, ...] = ("rest", "walk", "run")
    noise: float = 0.5
    train: int = 512
    validation: int = 128
    test: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        plugins.check_ranges(self, steps=(16, 4096), channels=(1, 64), noise=(0, 10))
        if not 2 <= len(self.names) <= 100:
            raise ValueError("names: allowed are 2 to 100")

    def load(self) -> Dataset:
        """Make all three splits."""
        rng = np.random.default_rng(self.seed)
        seen = rng.standard_normal((len(self.names), self.channels))
        paces = np.geomspace(SLOWEST, FASTEST, len(self.names))
        splits = {role: self._split(seen, paces, count, rng) for role, count in self.sizes.items()}
        dataset = self.dataset(splits, self.names)
        return checked(dataset, "made_series")

    def _split(
        self, seen: NDArray[np.float64], paces: NDArray[np.float64], count: int, rng: np.random.Generator
    ) -> Split:
        y = rng.permutation(np.arange(count) % len(self.names)).astype(np.int64)
        pace, phase = paces[y] * rng.uniform(0.9, 1.1, count), rng.uniform(0, 1, count)
        time = np.arange(self.steps) / self.steps
        movement = np.sin(2 * np.pi * (pace[:, None] * time + phase[:, None]))
        x = movement[:, :, None] * seen[y][:, None, :]
        return Split((x + rng.normal(0, self.noise, x.shape)).astype(np.float32), y)
