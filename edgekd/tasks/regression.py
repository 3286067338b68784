"""Values: one number a sample, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, EdgekdError
from edgekd.base.marks import Marks
from edgekd.tasks import _rows
from edgekd.tasks._base import Floats, Geometry, Record, Task
from edgekd.tasks._classes import At, Numbered
from edgekd.tasks._predictions import Values


@dataclass(frozen=True)
class Regression(Task):
    """(N, K) values in the unit of the labels; a label is a row of K numbers, NaN where one is not known.

    Losses see values and labels less the mean and by the standard deviation of the training labels, column by column:
    a loss of 1 is a whole standard deviation, whatever the unit. Without labels both are as the teacher gives them.

    Attributes:
        unit_of_values: what they are counted in, for reports and the model card.
        mean, std: of each column; empty: those of the training labels.
        points: they are x and y of points in a picture, in pixels from the centre of the first one; labels are
            (N, K, 2), with a name for each point.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "value")
    hub: ClassVar[Mapping[str, str]] = {
        "text": "text-classification",  # the hub has no regression of texts, pictures or sounds
        "ink": "image-feature-extraction",
        "picture": "image-feature-extraction",
        "sound": "audio-classification",
        "numbers": "tabular-regression",
    }
    metrics: ClassVar[tuple[str, ...]] = ("r2", "mae", "pearson", "spearman", "mse", "normalised_mean_error")
    losses: ClassVar[tuple[str, ...]] = ("squared_error", "huber")
    label_loss: ClassVar[str] = "huber"
    program: ClassVar[str] = "values"
    holds: ClassVar[str] = "{} values"
    prints: ClassVar[str] = "answer.values"

    unit_of_values: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    points: bool = False

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError("mean: allowed is as many numbers as std has")
        if any(not std > 0 for std in self.std):
            raise ValueError("std: allowed are numbers above 0")

    @property
    def geometry(self) -> Geometry:
        """See ``Task``."""
        return "points" if self.points else ""

    @property
    def by_column(self) -> bool:
        """See ``Task``: x and y of points are all pixels."""
        return not self.points

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: (N,) or (N, ...) numbers; names count the values where none are given."""
        for split, values in labels.items():
            _check_pairs(values, self.points, split, at)
        if self.points:
            count = int(np.prod(labels["train"].shape[1:])) // 2
            names = names if names is not None else tuple(f"point {i}" for i in range(count))
            names = tuple(f"{name} {axis}" for name in names for axis in "xy") if len(names) == count else names
        rows = {split: _rows.floats(values, split, at) for split, values in labels.items()}
        return _rows.named_columns(rows, names, "value", at, where)

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: (N, K) floats, no infinity."""
        _rows.check_shape(labels, count, size, where)
        if labels.dtype.kind != "f":
            raise DataError("labels of values are floats", where=where, found=str(labels.dtype), allowed="float32")
        if np.isinf(labels).any():
            bad = int(np.flatnonzero(np.isinf(labels).any(axis=1))[0])
            raise DataError("an infinite label", where=where, found=f"sample {bad}", allowed="numbers, or NaN for none")

    def check_learned(
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """See ``Task``: each value is known of two samples at least, and is not the same of all."""
        for i, name in enumerate(names):
            column = labels["train"][:, i]
            values = np.unique(column[~np.isnan(column)])
            if len(values) < 2:
                what = "a value that is the same of every training sample" if len(values) else "a value without a label"
                shown = f"{name}: {values[0]:g}" if len(values) else name
                raise DataError(what, where=where, found=shown, allowed="at least two different ones")

    def check_size(self, size: int, where: str, error: type[EdgekdError]) -> None:
        """See ``Task``."""
        if self.mean and len(self.mean) != size:
            count = f"{len(self.mean)} numbers"
            raise error("a mean and a std of each value", where=f"{where}.mean", found=count, allowed=f"{size}")

    def fitted(self, labels: AnyArray | None) -> Regression:
        """See ``Task``."""
        if self.mean or labels is None:
            return self
        numbers = labels.astype(np.float64)
        std = np.nanstd(numbers, axis=0)
        return replace(self, mean=tuple(np.nanmean(numbers, axis=0).tolist()), std=tuple(np.where(std > 0, std, 1.0)))

    @property
    def scale(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """See ``Task``."""
        return (self.mean, self.std) if self.mean else None

    def decode(self, shares: Floats, names: Sequence[str]) -> Values:
        """See ``Task``."""
        return Values(tuple(shares.tolist()), tuple(names))

    def marks(self, decided: Values) -> Marks | None:
        """See ``Task``: those of points."""
        return Marks(points=decided.points) if self.points else None

    def shares_of_label(self, label: AnyArray, shape: tuple[int, ...]) -> Floats | None:
        """See ``Task``."""
        return label.astype(np.float64) if self.points else None

    def record(self, decided: Values) -> Record:
        """See ``Task``."""
        return {"values": [float(f"{value:.6g}") for value in decided.values]}

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``."""
        return list(record["values"])


def _check_pairs(labels: AnyArray, points: bool, split: str, at: At) -> None:
    """Raise DataError where labels of points are no pairs of numbers, or pairs are not said to be points."""
    pairs = labels.ndim == 3 and labels.shape[2] == 2
    if points and not (pairs or (labels.ndim == 2 and labels.shape[1] % 2 == 0)):
        allowed = "(N, K, 2): x and y of each point"
        raise DataError(
            "labels of points are pairs of numbers", where=at(split, 0), found=labels.shape, allowed=allowed
        )
    if pairs and not points:  # a mirrored picture would keep them as they are
        allowed = 'task = { kind = "regression", points = true }, or (N, K) where they are none'
        raise DataError("labels that look like points", where=at(split, 0), found=labels.shape, allowed=allowed)
