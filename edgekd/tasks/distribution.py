"""A teacher's vectors, of which nobody says anything but the teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.scores import softmax
from edgekd.tasks import _vectors
from edgekd.tasks._base import Floats, Record, Task
from edgekd.tasks._classes import At, Numbered
from edgekd.tasks._predictions import Vector

TINY = 1e-12  # a probability whose logarithm is written down


@dataclass(frozen=True)
class Distribution(Task):
    """(N, D) vectors of a teacher, which the student imitates; the data has no labels.

    Two answers are as far apart as 1 minus their cosine. Where the vectors are probabilities the scores are their
    logits: metrics and ``predict`` see the softmax of these, the programs of a bundle print the logits.

    Attributes:
        size: D, numbers of a vector, 1 to 65536; 0: as many as ``data.classes`` names.
        probabilities: the numbers of a vector are shares of 1.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "value")
    hub: ClassVar[Mapping[str, str]] = _vectors.HUB
    metrics: ClassVar[tuple[str, ...]] = ("cosine", "mse")
    label_loss: ClassVar[str] = ""
    program: ClassVar[str] = "values"
    holds: ClassVar[str] = "a vector of {} numbers"
    prints: ClassVar[str] = "answer.values"

    size: int = 0
    probabilities: bool = False

    def __post_init__(self) -> None:
        _vectors.check_size(self.size)

    @property
    def losses(self) -> tuple[str, ...]:
        """See ``Task``."""
        return ("kl", "cosine", "squared_error") if self.probabilities else ("cosine", "squared_error")

    @property
    def link(self) -> Literal["softmax", ""]:
        """See ``Task``."""
        return "softmax" if self.probabilities else ""

    @property
    def exclusive(self) -> bool:
        """Never: shares of 1 are compared as a whole, and none of them is right."""
        return False

    @property
    def vectors(self) -> bool:
        """See ``Task``: shares of 1 are none."""
        return not self.probabilities

    def unlabelled(self, names: tuple[str, ...] | None, where: str, hint: str | None = None) -> Numbered:
        """See ``Task``: ``size`` numbers need no names."""
        return _vectors.unlabelled(names, self.size, where)

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: there are none."""
        raise DataError(
            "labels, of which a distribution has none",
            where=where,
            found=f"labels of {len(labels['train']):,} training samples",
            allowed='none, such as label = "" or y_train = ""; what a teacher answered is taught by teacher.model',
        )

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: there are none."""
        self.numbered({"train": labels}, None, lambda split, i: where, where)

    def judged(self, scores: AnyArray) -> AnyArray:
        """See ``Task``: of probabilities these."""
        return softmax(scores) if self.probabilities else scores

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) 1 minus the cosine, 0..2."""
        return _vectors.cosine_distance(self.judged(one), self.judged(other))

    def shares(self, scores: AnyArray) -> Floats:
        """See ``Task``."""
        return np.asarray(self.judged(scores), np.float64)

    def decode(self, shares: Floats, names: Sequence[str]) -> Vector:
        """See ``Task``."""
        return Vector(tuple(shares.tolist()))

    def record(self, decided: Vector) -> Record:
        """See ``Task``."""
        return {"values": [float(f"{value:.6g}") for value in decided.values]}

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``: logarithms of probabilities differ as logits do."""
        values = list(record["values"])
        return [math.log(max(value, TINY)) for value in values] if self.probabilities else values
