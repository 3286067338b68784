"""Entries of different lengths as one array: the tokens of texts, the pixels of pictures of several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray


@dataclass(frozen=True)
class Ragged:
    """N entries of M rows in all.

    Attributes:
        values: (M, ...) rows, those of an entry one after the other.
        offsets: (N + 1,) int64: the rows of entry i are ``values[offsets[i]:offsets[i + 1]]``; it may have none.

    Raises:
        ValueError: offsets that do not begin at 0, fall, or do not end with the last row.
    """

    values: AnyArray
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or not len(self.offsets) or self.offsets[0] != 0:
            raise ValueError("offsets: allowed is a list that begins with 0")
        if (np.diff(self.offsets) < 0).any():
            entry = int(np.flatnonzero(np.diff(self.offsets) < 0)[0])
            raise ValueError(f"offsets: entry {entry} ends before it begins")
        if self.offsets[-1] != len(self.values):
            raise ValueError(f"offsets: they end with row {self.offsets[-1]}, and there are {len(self.values)} rows")

    @classmethod
    def of(cls, entries: Sequence[AnyArray]) -> Ragged:
        """One array of at least one entry, each (rows of it, ...)."""
        lengths = np.array([len(entry) for entry in entries], np.int64)
        return cls(np.concatenate(entries), ends(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, entry: int) -> AnyArray:
        """The rows of one entry, as a view."""
        entry = range(len(self))[entry]
        return self.values[self.offsets[entry] : self.offsets[entry + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) rows of each entry."""
        return np.diff(self.offsets)

    def take(self, index: NDArray[np.int64]) -> Ragged:
        """Some entries, by number, in that order, as new arrays."""
        rows, offsets = rows_of(self.offsets, index)
        return Ragged(self.values[rows], offsets)

    def of_rows(self, labels: AnyArray | Ragged) -> AnyArray:
        """(M, ...) labels, one for each row, from those of the entries.

        Args:
            labels: dense, (N, ...): one an entry, which counts for each of its rows; or ragged: one a row.

        Raises:
            ValueError: of other entries, or of entries of other lengths; names the first.
        """
        if len(labels) != len(self):
            raise ValueError(f"labels of {len(labels)} entries, and there are {len(self)}")
        if not isinstance(labels, Ragged):
            return np.repeat(labels, self.lengths, axis=0)
        odd = np.flatnonzero(labels.lengths != self.lengths)
        if len(odd):
            entry = int(odd[0])
            raise ValueError(f"entry {entry} has {self.lengths[entry]} rows and {labels.lengths[entry]} labels")
        return labels.values


def ends(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N + 1,) offsets of entries of such lengths."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def rows_of(offsets: NDArray[np.int64], index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of the rows of some entries, one entry after the other, and these entries' own offsets."""
    first, lengths = offsets[index], offsets[index + 1] - offsets[index]
    inside = ends(lengths)
    return np.arange(inside[-1]) + np.repeat(first - inside[:-1], lengths), inside
