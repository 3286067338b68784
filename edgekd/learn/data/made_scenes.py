"""Made street scenes with masks: sky, buildings, trees, road and cars, with noise. For ``--quick`` and for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._split import image_ops
from edgekd.tasks import CLASSES, Task

NAMES = ("sky", "building", "tree", "road", "car")
COLOURS = np.array([[140, 180, 230], [150, 110, 90], [60, 120, 50], [90, 90, 95], [190, 40, 40]], np.float64)
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class MadeScenes(MadeData):
    """Seeded (N, height, width, 3) uint8 pictures, and (N, height, width) masks of five classes.

    Light, colours, horizon and what stands where differ from scene to scene; a border of each is unlabelled.

    Attributes:
        height, width: 16 to 512.
        train, validation, test: samples of each split.
        noise: standard deviation of the noise, in grey levels.
        unlabelled: the number of the pixels of the border, 5 to 255.
        seed: of everything made.
    """

    height: int = 32
    width: int = 48
    train: int = 256
    validation: int = 64
    test: int = 64
    noise: float = 20.0
    unlabelled: int = 255
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("height", "width"):
            if not 16 <= getattr(self, name) <= 512:
                raise ValueError(f"{name}: allowed is 16 to 512")
        if not len(NAMES) <= self.unlabelled <= 255:
            raise ValueError(f"unlabelled: allowed is {len(NAMES)} to 255")

    def load(self, task: Task = CLASSES) -> Dataset:
        """Make all three splits.

        Raises:
            DataError: a task that takes no masks.
        """
        most = 3 * 8 * max(self.sizes.values()) * self.height * self.width
        limits.check("bytes", most, "more than likely is meant", "data.height")
        rng = np.random.default_rng(self.seed)
        masks = {name: np.stack([self._mask(rng) for _ in range(count)]) for name, count in self.sizes.items()}
        pictures = {name: self._pictures(of, rng) for name, of in masks.items()}
        numbering = numbered(task, masks, NAMES, lambda split, i: f"{split}: sample {i}", "made_scenes")
        splits = {name: Split(pictures[name], numbering.labels[name]) for name in self.sizes}
        dataset = self.dataset(splits, numbering.names, image_ops(255.0))
        return checked(dataset, "made_scenes", task)

    def _mask(self, rng: np.random.Generator) -> Mask:
        """Sky above, a road below, and between them buildings, trees and cars, from far to near."""
        height, width = self.height, self.width
        mask = np.zeros((height, width), np.uint8)
        horizon = round(height * rng.uniform(0.35, 0.6))
        y, x = np.mgrid[:height, :width]
        mask[horizon:] = 3
        for _ in range(rng.integers(1, 4)):
            left, wide = rng.integers(0, width), rng.integers(width // 8, width // 3 + 1)
            mask[round(horizon * rng.uniform(0.1, 0.6)) : horizon, left : left + wide] = 1
        for _ in range(rng.integers(1, 4)):
            radius = rng.uniform(0.1, 0.2) * height
            centre = horizon - radius * rng.uniform(0.3, 1), rng.uniform(0, width)
            mask[((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2) & (y < horizon)] = 2
        for _ in range(rng.integers(1, 3)):
            high = max(2, round(height * rng.uniform(0.1, 0.2)))
            bottom, left = rng.integers(horizon + 1, height + 1), rng.integers(0, max(1, width - high))
            mask[max(bottom - high, 0) : bottom, left : left + 2 * high] = 4
        mask[-1], mask[:, 0] = self.unlabelled, self.unlabelled
        return mask

    def _pictures(self, masks: Mask, rng: np.random.Generator) -> Mask:
        """(N, H, W, 3) of (N, H, W)."""
        count = len(masks)
        colours = COLOURS + rng.normal(0, 18, (count, *COLOURS.shape))
        light = rng.uniform(0.6, 1.2, (count, 1, 1, 1))
        index = np.where(masks == self.unlabelled, 3, masks)
        clean = colours[np.arange(count)[:, None, None], index] * light
        return np.clip(clean + rng.normal(0, self.noise, clean.shape), 0, 255).astype(np.uint8)
