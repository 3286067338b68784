"""Made tiles: a texture without end, and anomalies with a spot on it. For ``--quick`` and for tests."""

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

EDGE = 2.0  # standard deviations from a spot's middle to its edge: an eighth of its height is left there


@dataclass(frozen=True)
class MadeTiles(MadeData):
    """Seeded (N, size, size, 1) uint8 pictures of stripes; label 1 where there is a spot on them, else 0. To a task of
    masks it is that of each pixel.

    No training sample has a spot; of validation and test every other one does. Phase, direction and light of the
    stripes differ from tile to tile.

    Attributes:
        size: height and width, 8 to 512.
        train, validation, test: samples of each split.
        noise: standard deviation of the noise, in grey levels.
        spot: grey levels that the middle of a spot is brighter or darker by.
        seed: of everything made.
    """

    size: int = 32
    train: int = 256
    validation: int = 128
    test: int = 128
    noise: float = 8.0
    spot: float = 120.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 8 <= self.size <= 512:
            raise ValueError("size: allowed is 8 to 512")

    def load(self, task: Task = CLASSES) -> Dataset:
        """Make all three splits.

        Raises:
            DataError: a task that takes no labels of 0 and 1, or one that wants anomalies to learn from.
        """
        most = 8 * max(self.sizes.values()) * self.size**2
        limits.check("bytes", most, "more than likely is meant", "data.size")
        rng = np.random.default_rng(self.seed)
        labels = {name: np.arange(count) % 2 * (name != "train") for name, count in self.sizes.items()}
        tiles = {name: self._tiles(of, rng) for name, of in labels.items()}
        if task.geometry == "mask":
            labels = {name: spots for name, (_, spots) in tiles.items()}
        numbering = numbered(task, labels, None, lambda split, i: f"{split}: sample {i}", "made_tiles")
        splits = {name: Split(tiles[name][0], numbering.labels[name]) for name in self.sizes}
        dataset = self.dataset(splits, numbering.names, image_ops(255.0))
        return checked(dataset, "made_tiles", task)

    def _tiles(
        self, labels: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """(N, size, size, 1) pictures and (N, size, size) of 1 where their spots are, of (N,)."""
        count = (len(labels), 1, 1)
        y, x = np.mgrid[: self.size, : self.size] / self.size
        turn, phase, light = (
            rng.uniform(-0.2, 0.2, count),
            rng.uniform(0, 2 * np.pi, count),
            rng.uniform(90, 150, count),
        )
        clean = light + 50 * np.sin(2 * np.pi * 3 * (x + turn * y) + phase)
        down, across = rng.uniform(0.2, 0.8, count), rng.uniform(0.2, 0.8, count)
        sign = rng.choice([-1.0, 1.0], count) * labels[:, None, None]
        away = ((y - down) ** 2 + (x - across) ** 2) / 0.06**2  # squared, in standard deviations of a spot
        clean += self.spot * sign * np.exp(-away / 2)
        pictures = np.clip(clean + rng.normal(0, self.noise, clean.shape), 0, 255).astype(np.uint8)[..., None]
        return pictures, (away <= EDGE**2) * labels[:, None, None]
