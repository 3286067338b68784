"""Folders of made pictures, for tests and benchmarks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cow")


def fill(root: Path, count: int = 20) -> Path:
    """``root/<class>/<number>.jpg`` and ``.png``, so many of each of three classes, of 12 x 10 in colour.

    They are old, so that their hashes are remembered, and of other greys in each class, so that they can be learned.
    """
    rng = np.random.default_rng(3)
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(60 * label, 60 * label + 90, (12, 10, 3), dtype=np.uint8)
            place = root / name / f"{i}.{'png' if i % 2 else 'jpg'}"
            Image.fromarray(pixels).save(place)
            os.utime(place, (1e9, 1e9))
    return root
