"""What all sources of made data have: three splits of so many samples, all of one seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from edgekd.base import plugins
from edgekd.learn.data._base import Dataset, Pipeline, Split
from edgekd.learn.data._split import check_seed

MOST = 1_000_000  # samples of a split


class MadeData:
    """A source whose data follows from its fields; a frozen dataclass.

    Attributes:
        train, validation, test: samples of each split, 1 to ``MOST``.
        seed: of everything made, 0 or more.
    """

    train: int
    validation: int
    test: int
    seed: int

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        plugins.check_ranges(self, **dict.fromkeys(self.sizes, (1, MOST)))

    @property
    def sizes(self) -> dict[str, int]:
        """Samples by split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def fingerprint(self) -> str:
        """SHA-256 over the fields: everything follows from them."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @staticmethod
    def dataset(splits: Mapping[str, Split], classes: tuple[str, ...], preprocess: Pipeline = ()) -> Dataset:
        """The splits by name, their samples called by their numbers."""
        train, validation, test = (splits[name].counted(name) for name in ("train", "validation", "test"))
        return Dataset(train, validation, test, classes, preprocess)
