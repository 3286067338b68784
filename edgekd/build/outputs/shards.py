"""Answers in memory-mapped shards: artifacts of the store, each written when it is answered, whole or not there.

A shard holds the answers to some samples of one view, in a row; its key says to which. So what is missing is what no
artifact is found of: a build that was killed asks for the shards that are not there, and no shard holds rows of another
view, another teacher or another form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base import disk
from edgekd.base.arrays import AnyArray
from edgekd.base.ragged import Ragged, ends, rows_of
from edgekd.base.scores import answered
from edgekd.build.outputs.forms import Form
from edgekd.build.store import Store, canonical, sha256
from edgekd.learn.answers import Answers, Index, Logits, blocks, numbers
from edgekd.learn.teaching import Span

ROWS, OFFSETS = "rows", "offsets"
BATCH = 256  # samples that a network is asked at once: a shard holds whole batches, so that it answers as of the whole
MOST_SAMPLES = 262_144  # of a shard
MOST_NUMBERS = 16_000_000  # that are answered before they are encoded: 64 MB, however few of them are kept


@dataclass(frozen=True)
class Layout:
    """Which samples are in which shard.

    Attributes:
        count: samples in all.
        samples: of each shard but the last.
    """

    count: int
    samples: int

    @classmethod
    def of(cls, count: int, form: Form, most_bytes: float) -> Layout:
        """As many whole batches in a shard as are not larger than ``most_bytes``, one at least."""
        batches = int(most_bytes // (form.record.itemsize * BATCH))
        return cls(count, min(max(batches, 1) * BATCH, MOST_SAMPLES))

    @property
    def spans(self) -> list[Span]:
        """The first sample of each shard, and the one behind its last."""
        return [(start, min(start + self.samples, self.count)) for start in range(0, self.count, self.samples)]


def pieces(span: Span, columns: int) -> list[Span]:
    """A span in parts of whole batches that hold not too many numbers; one batch at least."""
    size = max(MOST_NUMBERS // (columns * BATCH), 1) * BATCH
    start, stop = span
    return [(first, min(first + size, stop)) for first in range(start, stop, size)]


@dataclass(frozen=True)
class Shards:
    """The shards of the answers to one split, or to one view of it.

    Attributes:
        identity: what they are answers of: plain data that stands in each key.
        ragged: a sample has any number of rows.
    """

    store: Store
    identity: tuple[object, ...]
    layout: Layout
    form: Form
    ragged: bool = False

    def key(self, number: int) -> str:
        """Of a shard's artifact."""
        kind = "ragged" if self.ragged else "dense"
        span = self.layout.spans[number]
        return sha256(canonical(["teacher outputs", *self.identity, kind, self.form.name, list(span)]))

    def missing(self) -> list[int]:
        """The shards that are not there; what is damaged is found when it is opened."""
        return [i for i in range(len(self.layout.spans)) if not self.store.has(self.key(i))]

    def put(self, number: int, answers: Logits | Ragged) -> None:
        """Keep a shard: when it returns it is on the disk.

        Args:
            answers: to the samples of its span, (n, C), or ragged with (m, C) values.

        Raises:
            ValueError: to another number of samples.
        """
        if isinstance(answers, Ragged):
            self._put(number, len(answers), self.form.encode(answers.values), answers.offsets)
        else:
            self._put(number, len(answers), self.form.encode(answers))

    def put_records(self, number: int, records: AnyArray) -> None:
        """Keep a shard of one row a sample that is encoded already; else as ``put``."""
        self._put(number, len(records), records)

    def _put(self, number: int, count: int, records: AnyArray, offsets: NDArray[np.int64] | None = None) -> None:
        start, stop = self.layout.spans[number]
        if count != stop - start:
            raise ValueError(f"shard {number} is of {stop - start} samples, and {count} are answered")
        files = {ROWS: records.tobytes()}
        if offsets is not None:
            files[OFFSETS] = offsets.astype("<i8").tobytes()
        self.store.put(self.key(number), files)

    def mapped(self, number: int) -> Shard | None:
        """A shard as it lies on the disk, verified; None where there is none, or it was damaged and is gone now."""
        names = (ROWS, OFFSETS) if self.ragged else (ROWS,)
        files = self.store.mapped(self.key(number), names)
        if files is None:
            return None
        start, stop = self.layout.spans[number]
        rows = np.frombuffer(files[ROWS], self.form.record)
        offsets = np.frombuffer(files[OFFSETS], "<i8") if self.ragged else None
        if (stop - start + 1 != len(offsets)) if offsets is not None else (len(rows) != stop - start):
            self.store.drop(self.key(number))
            return None
        return Shard(rows, offsets)

    def opened(self) -> list[Shard | None]:
        """Every shard, as ``mapped``."""
        return [self.mapped(i) for i in range(len(self.layout.spans))]

    def written(self, number: int) -> Shard:
        """A shard that was just put.

        Raises:
            ResourceError: it is not there.
        """
        shard = self.mapped(number)
        if shard is None:
            raise disk.not_kept(self.store.root)
        return shard


@dataclass(frozen=True)
class Shard:
    """Records of a form, and where each sample's begin, if it is ragged."""

    records: AnyArray
    offsets: NDArray[np.int64] | None = None


class Kept:
    """(N, K) answers of shards, see ``learn.answers.Fetched``.

    Args:
        shards: all of a layout.
        complete: every sample has an answer, so that nothing is read to know it.
    """

    def __init__(self, layout: Layout, form: Form, shards: Sequence[Shard], *, complete: bool = False) -> None:
        self._layout, self._form, self._shards, self._complete = layout, form, shards, complete
        self.shape = (layout.count, form.columns)

    def __len__(self) -> int:
        return self._layout.count

    def __getitem__(self, index: Index | slice) -> Logits:
        return self._form.decode(self.records(index))

    def records(self, index: Index | slice) -> AnyArray:
        """The records of some samples, by number, as they are kept."""
        if len(self._shards) == 1:
            records: AnyArray = self._shards[0].records[index]
            return records
        samples = numbers(index, len(self))
        record = self._form.record
        taken = np.empty((len(samples), *record.shape), record.base)
        for number, places, inside in by_shard(samples, self._layout):
            taken[places] = self._shards[number].records[inside]
        return taken

    def answered(self) -> NDArray[np.bool_]:
        """See ``learn.answers.Fetched``."""
        if self._complete:
            return np.ones(len(self), np.bool_)
        return np.concatenate([answered(self[block]) for block in blocks(self.shape)])


class KeptRagged:
    """Answers of shards of which a sample has any number of rows."""

    def __init__(self, layout: Layout, form: Form, shards: Sequence[Shard]) -> None:
        self._layout, self._form, self._shards = layout, form, shards

    def __len__(self) -> int:
        return self._layout.count

    def __getitem__(self, index: Index) -> Ragged:
        """The (m, C) answers to some samples, by number, in that order."""
        samples = np.asarray(index)
        parts = list(by_shard(samples, self._layout))
        lengths = np.zeros(len(samples), np.int64)
        for number, places, inside in parts:
            lengths[places] = np.diff(self._offsets(number))[inside]
        offsets, record = ends(lengths), self._form.record
        taken = np.empty((int(offsets[-1]), *record.shape), record.base)
        for number, places, inside in parts:
            to, _ = rows_of(offsets, places)
            rows, _ = rows_of(self._offsets(number), inside)
            taken[to] = self._shards[number].records[rows]
        return Ragged(self._form.decode(taken), offsets)

    def _offsets(self, number: int) -> NDArray[np.int64]:
        offsets = self._shards[number].offsets
        if offsets is None:
            raise ValueError("a shard of one row a sample among ragged ones")
        return offsets


def by_shard(samples: Index, layout: Layout) -> list[tuple[int, Index, Index]]:
    """Of each shard that holds some of the samples: its number, their places among them, and inside the shard.

    Raises:
        IndexError: a number of no sample; negative ones count from the end.
    """
    samples = numbers(samples, layout.count)
    if not len(samples):
        return []
    shards = samples // layout.samples
    order = np.argsort(shards, kind="stable")
    present, starts = np.unique(shards[order], return_index=True)
    return [
        (int(number), places, samples[places] - number * layout.samples)
        for number, places in zip(present, np.split(order, starts[1:]), strict=True)
    ]


def answers_of(layout: Layout, form: Form, shards: Sequence[Shard], *, complete: bool = False) -> Answers:
    """The answers of shards; where they are one array of float32 on the disk anyway, that array."""
    if len(shards) == 1 and form.record.base == np.dtype("<f4"):
        return np.asarray(shards[0].records)
    return Kept(layout, form, shards, complete=complete)
