"""1,797 handwritten digits, 8x8 pixels of 0..16, that ship with scikit-learn (UCI, Alpaydin and Kaynak 1998)."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekd.base.errors import UnavailableError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._split import carve, check_seed, image_ops

VALIDATION = TEST = 360
CLASSES = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class Digits:
    """Split 1,077 / 360 / 360, each class in its share.

    Attributes:
        split_seed: of the split; not the recipe's seed, so that seeds are compared on the same test samples.
    """

    split_seed: int = 0

    def __post_init__(self) -> None:
        check_seed("split_seed", self.split_seed)

    def fingerprint(self) -> str:
        """SHA-256 over the file and the split's seed."""
        return hashlib.sha256(_file().read_bytes() + f"digits {self.split_seed}".encode()).hexdigest()

    def load(self) -> Dataset:
        """Raw samples: (N, 8, 8, 1) uint8."""
        # The file is read directly: importing scikit-learn takes seconds.
        table = np.loadtxt(io.BytesIO(gzip.decompress(_file().read_bytes())), delimiter=",", dtype=np.int64)
        x, y = table[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1), table[:, -1]
        rest, test = carve(y, len(y), TEST, self.split_seed)
        train, validation = carve(y[rest], len(rest), VALIDATION, self.split_seed)
        whole = Split(x, y).counted()
        one, two, three = (whole.some(index) for index in (rest[train], rest[validation], test))
        return checked(Dataset(one, two, three, CLASSES, image_ops(16.0)), "digits")


def _file() -> Path:
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise UnavailableError(
            "the digits ship with scikit-learn", where="data.source", hint="pip install scikit-learn"
        )
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
