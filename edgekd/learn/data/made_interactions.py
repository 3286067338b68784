"""Made users and items that can be learned: everyone likes the items of their own taste. For ``--quick`` and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekd.base import limits, plugins
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MOST, MadeData


@dataclass(frozen=True)
class MadeInteractions(MadeData):
    """Seeded samples as ``interactions`` gives them.

    Attributes:
        users, items: how many, 2..1,000,000.
        tastes: how many groups of items there are, 1 to ``items``.
        history: liked items a sample holds.
        train, validation, test: samples of each split.
        seed: of everything made.
    """

    users: int = 200
    items: int = 100
    tastes: int = 5
    history: int = 8
    train: int = 512
    validation: int = 128
    test: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("users", "items"):
            if not 2 <= getattr(self, name) <= 1_000_000:
                raise ValueError(f"{name}: allowed is 2 to 1000000")
        if not 1 <= self.tastes <= self.items:
            raise ValueError("tastes: allowed is 1 to items")
        plugins.check_ranges(self, history=(1, MOST))

    def load(self) -> Dataset:
        """Make all three splits."""
        most = max(self.sizes.values())
        limits.check("bytes", 8 * most * (1 + self.history), "more than likely is meant", "data.history")
        rng = np.random.default_rng(self.seed)
        taste = rng.integers(0, self.tastes, self.users)
        train, validation, test = (self._split(taste, count, rng) for count in self.sizes.values())
        sizes, widths = [self.users, self.items + 1], [1, self.history]
        ops = {"op": "columns", "names": ["user", "history"], "sizes": sizes, "widths": widths}
        names = tuple(f"item {i}" for i in range(self.items))
        return checked(Dataset(train, validation, test, names, (ops,)), "made_interactions", every_class=False)

    def _split(self, taste: np.ndarray, count: int, rng: np.random.Generator) -> Split:
        user = rng.integers(0, self.users, count)
        group = self.items // self.tastes
        liked = taste[user][:, None] * group + rng.integers(0, group, (count, 1 + self.history))
        return Split(np.column_stack([user, liked[:, 1:]]).astype(np.int64), liked[:, 0].astype(np.int64))
