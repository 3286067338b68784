"""Answers that tell a few classes apart, as they are held: of each row these alone, and what each of the others has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.ragged import Ragged, rows_of
from edgekd.learn.answers import Index, Logits, numbers


@dataclass(frozen=True)
class Sparse:
    """(N, K) logits, as ``learn.answers.Fetched``, of which a row takes as much memory as it names classes.

    Attributes:
        classes: N entries: the columns that a row names, (M,) in all, each once in a row.
        values: (M,) their logits, float32.
        rest: (N,) float32, the logit of every column that a row does not name; NaN where a row is no answer, which
            names none.
        columns: K.
    """

    classes: Ragged
    values: NDArray[np.float32]
    rest: NDArray[np.float32]
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """See ``Fetched``."""
        return len(self.rest), self.columns

    def __len__(self) -> int:
        return len(self.rest)

    def __getitem__(self, index: Index | slice) -> Logits:
        samples = numbers(index, len(self))
        entries, inside = rows_of(self.classes.offsets, samples)
        logits = np.empty((len(samples), self.columns), np.float32)
        rows = np.repeat(np.arange(len(samples)), np.diff(inside))
        expand(logits, self.rest[samples], rows, self.classes.values[entries], self.values[entries])
        return logits

    def answered(self) -> NDArray[np.bool_]:
        """See ``Fetched``."""
        return ~np.isnan(self.rest)

    def named(self, index: Index) -> AnyArray:
        """The columns that some rows name, one row after the other."""
        named: AnyArray = self.classes.values[rows_of(self.classes.offsets, index)[0]]
        return named


def expand(logits: Logits, rest: AnyArray, rows: AnyArray, classes: AnyArray, values: AnyArray) -> None:
    """Fill (N, K) logits in place: the rest of each row everywhere, and values at the classes that it names.

    Args:
        rest: (N,).
        rows, classes, values: of each named class its row, its column and its logit; of shapes that broadcast.
    """
    logits[:] = rest[:, None]
    logits[rows, classes] = values
