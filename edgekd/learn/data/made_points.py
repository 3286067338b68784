"""Made faces with points: eyes, nose and mouth, turned, shifted and noisy. For ``--quick`` and for tests."""

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

NAMES = ("left eye", "right eye", "nose", "left mouth", "right mouth")
PLACES = np.array([[-0.4, -0.35], [0.4, -0.35], [0.0, 0.1], [-0.25, 0.5], [0.25, 0.5]])  # of a face of radius 1
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MadePoints(MadeData):
    """Seeded (N, size, size, 1) uint8 pictures of a face, and (N, 5, 2) points: x and y in pixels.

    Attributes:
        size: of the side, 16 to 512.
        train, validation, test: samples of each split.
        noise: standard deviation of the noise, in grey levels.
        seed: of everything made.
    """

    size: int = 32
    train: int = 512
    validation: int = 128
    test: int = 128
    noise: float = 12.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 16 <= self.size <= 512:
            raise ValueError("size: allowed is 16 to 512")

    def load(self, task: Task = CLASSES) -> Dataset:
        """Make all three splits.

        Raises:
            DataError: a task that takes no points.
        """
        limits.check("bytes", 16 * max(self.sizes.values()) * self.size**2, "more than likely is meant", "data.size")
        rng = np.random.default_rng(self.seed)
        faces = {name: self._faces(count, rng) for name, count in self.sizes.items()}
        points = {name: where for name, (_, where) in faces.items()}
        numbering = numbered(task, points, NAMES, lambda split, i: f"{split}: sample {i}", "made_points")
        splits = {name: Split(faces[name][0], numbering.labels[name]) for name in self.sizes}
        dataset = self.dataset(splits, numbering.names, image_ops(255.0))
        return checked(dataset, "made_points", task)

    def _faces(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(N, size, size, 1) pictures, and (N, 5, 2) points."""
        radius = self.size * rng.uniform(0.28, 0.42, count)
        middle = self.size / 2 + self.size * rng.uniform(-0.08, 0.08, (count, 2))
        angle = rng.uniform(-0.35, 0.35, count)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # (2, 2, N)
        turned = np.einsum("abn,kb->nka", turn, PLACES)
        points = middle[:, None] + radius[:, None, None] * turned
        y, x = np.mgrid[: self.size, : self.size]
        pictures = np.full((count, self.size, self.size), 60.0) + rng.uniform(-30, 30, (count, 1, 1))
        inside = self._squares(x, y, middle) < (radius**2)[:, None, None]
        pictures = np.where(inside, 170 + rng.uniform(-30, 30, (count, 1, 1)), pictures)
        for k, (share, grey) in enumerate(((0.14, 30), (0.14, 30), (0.1, 220), (0.1, 90), (0.1, 90))):
            spot = np.exp(-self._squares(x, y, points[:, k]) / (2 * (share * radius) ** 2)[:, None, None])
            pictures += spot * (grey - pictures)
        noisy = pictures + rng.normal(0, self.noise, pictures.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)[..., None], points.astype(np.float32)

    @staticmethod
    def _squares(x: NDArray[np.int64], y: NDArray[np.int64], centres: Floats) -> Floats:
        """(N, H, W) squared distances of the pixels from a place (x, y) of each picture."""
        dx, dy = x - centres[:, 0, None, None], y - centres[:, 1, None, None]
        return np.asarray(dx**2 + dy**2)
