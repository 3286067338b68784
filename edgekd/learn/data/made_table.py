"""Made rows of numbers that can be learned, with labels of any task that has some. For ``--quick`` and for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData
from edgekd.tasks import CLASSES, Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MadeTable(MadeData):
    """Seeded rows; a few smooth functions of some of the numbers make the labels.

    Attributes:
        columns: numbers of a row, 2 to 4096.
        names: of the classes, labels or values, 1 to 1000 of them; of classes at least two.
        noise: standard deviation of what no column tells, in that of the functions.
        spread, middle: of values, standard deviation and mean.
        train, validation, test: samples of each split.
        seed: of everything made.
    """

    columns: int = 16
    names: tuple[str, ...] = ("a", "b", "c")
    noise: float = 0.1
    spread: float = 1.0
    middle: float = 0.0
    train: int = 512
    validation: int = 128
    test: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.columns <= 4096:
            raise ValueError("columns: allowed is 2 to 4096")
        if not 1 <= len(self.names) <= 1000:
            raise ValueError("names: allowed are 1 to 1000")

    def load(self, task: Task = CLASSES) -> Dataset:
        """Make all three splits."""
        task.check_size(len(self.names), "task", RecipeError)
        rng = np.random.default_rng(self.seed)
        weights = rng.standard_normal((2, self.columns, len(self.names))) / np.sqrt(self.columns)
        splits = {name: self._split(weights, task, count, rng) for name, count in self.sizes.items()}
        dataset = self.dataset(splits, self.names)
        return checked(dataset, "made_table", task, every_class=False)

    def _split(self, weights: Floats, task: Task, count: int, rng: np.random.Generator) -> Split:
        x = rng.standard_normal((count, self.columns))
        functions = np.tanh(2 * x @ weights[0]) + x @ weights[1] + rng.normal(0, self.noise, (count, len(self.names)))
        y: AnyArray | None = task.answers(functions) if task.label_loss else None
        if y is not None and y.dtype.kind == "f":
            y = (self.middle + self.spread * functions).astype(np.float32)
        return Split(x.astype(np.float32), y)
