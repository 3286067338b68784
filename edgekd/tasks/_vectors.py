"""What tasks whose answers are vectors have in common."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks._base import Floats
from edgekd.tasks._classes import Numbered

HUB: Mapping[str, str] = {
    "text": "feature-extraction",
    "ink": "image-feature-extraction",
    "picture": "image-feature-extraction",
    "sound": "feature-extraction",
    "numbers": "feature-extraction",
}
MOST = 65_536  # numbers of a vector
TINY = 1e-12  # a length that a vector of zeros is divided by


def check_size(size: int) -> None:
    """Raise ValueError where no vector has so many numbers."""
    if not 0 <= size <= MOST:
        raise ValueError(f"size: allowed is 1 to {MOST}, or 0: as many as data.classes names")


def unlabelled(names: tuple[str, ...] | None, size: int, where: str) -> Numbered:
    """The names of a vector's numbers, ``value 0`` up where none are given.

    Raises:
        DataError: neither names nor a size, or names of another number.
    """
    if names is None and not size:
        allowed = "task = { kind = ..., size = 384 }, or a name for each number in data.classes"
        raise DataError("how many numbers a vector has is needed", where="task.size", found=0, allowed=allowed)
    if names is None:
        limits.check("classes", size, "more numbers than likely are meant", "task.size")
        names = tuple(f"value {i}" for i in range(size))
    if size not in (0, len(names)):
        raise DataError(
            "a name for each number of a vector", where=where, found=f"{len(names)} names", allowed=str(size)
        )
    return Numbered(names, {})


def cosine(one: AnyArray, other: AnyArray) -> Floats:
    """(N,) of (N, D) vectors, -1..1; of a vector of zeros 0."""
    a, b = unit_vectors(one), unit_vectors(other)
    return np.asarray(np.clip((a * b).sum(axis=1), -1.0, 1.0))


def cosine_distance(one: AnyArray, other: AnyArray) -> Floats:
    """(N,) 1 - cosine, as half of the squared distance of the unit vectors: exact where both are nearly the same."""
    a, b = unit_vectors(one), unit_vectors(other)
    return np.asarray(np.square(a - b).sum(axis=1) / 2)


def unit_vectors(vectors: AnyArray) -> Floats:
    """(N, D) vectors of length 1; of zeros zeros."""
    long = vectors.astype(np.float64)
    return np.asarray(long / np.maximum(np.linalg.norm(long, axis=1, keepdims=True), TINY))
