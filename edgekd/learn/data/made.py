"""Made images that can be learned: a prototype a class, shifted and noisy. For ``--quick`` and for tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgekd.base import limits
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData
from edgekd.learn.data._split import image_ops


@dataclass(frozen=True)
class Made(MadeData):
    """Seeded uint8 images.

    Attributes:
        shape: height, width, channels (1, 3 or 4).
        classes: how many, 2..1000.
        train, validation, test: samples of each split.
        noise: standard deviation of the noise, in grey levels.
        seed: of everything made.
    """

    shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 10
    train: int = 512
    validation: int = 128
    test: int = 128
    noise: float = 24.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.shape) < 1 or max(self.shape[:2]) > 1024 or self.shape[2] not in (1, 3, 4):
            raise ValueError("shape: allowed is height, width (1 to 1024) and 1, 3 or 4 channels")
        if not 2 <= self.classes <= 1000:
            raise ValueError("classes: allowed is 2 to 1000")

    def load(self) -> Dataset:
        """Make all three splits."""
        most = max(self.sizes.values())
        limits.check("bytes", 8 * most * math.prod(self.shape), "more than likely is meant", "data.shape")
        height, width, channels = self.shape
        rng = np.random.default_rng(self.seed)
        coarse = rng.uniform(0, 255, (self.classes, -(-height // 4), -(-width // 4), channels))
        prototypes = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
        splits = {name: self._split(prototypes, count, rng) for name, count in self.sizes.items()}
        names = tuple(f"class {i}" for i in range(self.classes))
        return checked(self.dataset(splits, names, image_ops(255.0)), "made", every_class=False)

    def _split(self, prototypes: np.ndarray, count: int, rng: np.random.Generator) -> Split:
        y = rng.permutation(np.arange(count) % self.classes).astype(np.int64)
        x = prototypes[y] + rng.normal(0, self.noise, (count, *self.shape))
        x = np.stack(
            [
                np.roll(image, shift, axis=(0, 1))
                for image, shift in zip(x, rng.integers(-1, 2, (count, 2)), strict=True)
            ]
        )
        return Split(np.clip(x, 0, 255).astype(np.uint8), y)
