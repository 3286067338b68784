"""Samples that are decoded when they are asked for, so that a data set may be larger than the memory."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import host, limits
from edgekd.base.arrays import AnyArray, Rows
from edgekd.learn.data import _files, _hashes
from edgekd.learn.data._base import Samples, Split
from edgekd.learn.data._decoding import Decoded, Decoder, Facts, Item, Pool

CHUNK = 256  # samples that a worker decodes at once where nothing says how many are needed
FEW = 8  # samples that are sooner decoded here than by a worker
SHARE = 0.25  # of the memory that this process may use: a split that takes more is not held there
Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The keys of a source whose samples can stay in their files; what they are is the same either way.

    Attributes:
        lazy: whether samples are decoded batch by batch, each time they are needed, and never held together in memory;
            ``auto``: where a split takes more than a quarter of the machine's memory.
        workers: processes that decode then, 0 to 64; 0: none but the build itself.
    """

    lazy: bool | Literal["auto"] = field(default="auto", repr=False)
    workers: int = field(default=2, repr=False)

    def check_reading(self) -> None:
        """Raise ValueError where ``workers`` is out of range."""
        if not 0 <= self.workers <= 64:
            raise ValueError("workers: allowed is 0 to 64")

    @cached_property
    def pool(self) -> Pool | None:
        """The processes that decode; None: there are none, as in a program that is no Python and can start none."""
        starts = bool(sys.executable) and not getattr(sys, "frozen", False)
        return Pool(self.workers) if self.workers and starts else None

    def is_left(self, size: int) -> bool:
        """Whether samples that would take so many bytes of memory are left in their files."""
        memory = host.memory()
        is_large = memory is not None and size > SHARE * memory
        return is_large if self.lazy == "auto" else self.lazy

    def held(self, samples: Lazy, where: str, count: Callable[[Facts], None], size: int = 0) -> Samples:
        """A split's samples, decoded now where they are to be held in memory.

        Args:
            count: told of what was decoded.
            size: how many bytes they take in memory, where their type does not say it.

        Raises:
            DataError: one can't be decoded, or all take more than is likely meant.
        """
        size = size or samples.nbytes
        if self.is_left(size):
            return samples
        limits.check("bytes", size, "more than likely is meant", where)
        x, facts = samples.decoder.decoded(samples.items)
        count(facts)
        return x

    def scanned(self, splits: Mapping[str, Split], count: Callable[[Facts], None]) -> Iterator[str]:
        """Decode once what is not held in memory: a file that can't be read is told of before anything trains.

        Returns:
            A note on each split that the user did not ask to be lazy.
        """
        for name, split in splits.items():
            if isinstance(split.x, Lazy):
                place = _place(name, split, split.x)
                kept = _hashes.recall(place)
                split.x.known = None if kept is None else Scan.read(kept)
                count(split.x.scan.facts)
                if kept is None:
                    _hashes.keep(place, split.x.scan.written())
                if self.lazy == "auto":
                    yield (
                        f"{name} would take more than a quarter of this machine's memory: its samples are decoded "
                        "batch by batch (data.lazy)"
                    )


def _place(name: str, split: Split, x: Lazy) -> str:
    """What a scan is kept as: of heads each may have carved other samples, in another order, off the same data.

    Stamps are left out, and paths that don't count from the folder of the data: of what was unpacked they are others in
    every run.
    """
    files, _, *where = x.columns
    ids = split.ids if split.ids is not None else np.arange(len(x))
    digest = hashlib.sha256(split.part.encode())
    for column in (ids, *where, *([] if len(files) and Path(_text(files[0])).is_absolute() else [files])):
        digest.update(f"{column.dtype} {column.shape}\0".encode())
        digest.update(repr(column.tolist()).encode() if column.dtype == object else column.tobytes())
    return f"scan of {name}: {digest.hexdigest()}"


def _text(file: object) -> str:
    return _files.text(file) if isinstance(file, bytes) else str(file)


class Scan(NamedTuple):
    """What all samples of a split were seen to be, in one pass.

    Attributes:
        low, high: their least and largest number.
        odd: the first sample that holds NaN or an infinity.
        hashes: (N,) 64 bits of each one's content.
        facts: of the decoder, added up; of those called ``peak`` the largest.
    """

    low: float
    high: float
    odd: int | None
    hashes: NDArray[np.uint64]
    facts: Facts

    def written(self) -> bytes:
        """As it is kept in the cache."""
        return json.dumps([self.low, self.high, self.odd, self.facts]).encode() + b"\n" + self.hashes.tobytes()

    @classmethod
    def read(cls, kept: bytes) -> Scan:
        """What ``written`` gave."""
        head, _, hashes = kept.partition(b"\n")
        low, high, odd, facts = json.loads(head)
        return cls(low, high, odd, np.frombuffer(hashes, np.uint64), facts)


class Lazy:
    """Samples of a split, as an array of which nothing is in memory.

    It has the shape and type of an array. An index gives one sample, decoded; a slice or an array of numbers gives
    other such samples, of which nothing is decoded yet. ``np.asarray`` decodes.

    Args:
        decoder: how a sample is read.
        columns: equally long arrays of texts or whole numbers, which together say of each sample where it lies.
        pool: the processes that decode; None: this one does.
        keeps: what is not to end before this does.
    """

    def __init__(self, decoder: Decoder, columns: Sequence[AnyArray], pool: Pool | None, keeps: object = None) -> None:
        self.decoder, self.columns, self.pool, self.keeps = decoder, tuple(columns), pool, keeps
        self.known: Scan | None = None  # what ``scan`` gives, once it is known

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.decoder.shape)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(self.decoder.dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def items(self) -> list[Item]:
        """What the decoder is given, of every sample."""
        return self._items(slice(None))

    def __getitem__(self, index: int | np.integer | slice | Index) -> AnyArray | Lazy:
        if isinstance(index, int | np.integer):
            return self._here(self._items([int(index)]))[0][0]
        return Lazy(self.decoder, [column[index] for column in self.columns], self.pool, self.keeps)

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> AnyArray:
        if len(self) <= FEW or self.pool is None:
            return self._here(self.items)[0]
        x, start = np.empty(self.shape, self.dtype), 0
        for part, _ in self._decoded(_parts(len(self), min(CHUNK, -(-len(self) // self.pool.workers)))):
            x[start : start + len(part)] = part
            start += len(part)
        return x

    def __iter__(self) -> Iterator[AnyArray]:
        return (sample for part, _ in self._decoded(_parts(len(self), CHUNK)) for sample in part)

    def ahead(self, parts: Iterable[Index]) -> Iterator[Block]:
        """For each part what holds its samples; the next ones are decoded meanwhile."""
        numbers: deque[Index] = deque()

        def kept() -> Iterator[Index]:
            for part in parts:
                numbers.append(np.unique(part))
                yield numbers[-1]

        for x, _ in self._decoded(kept()):
            yield Block(len(self), numbers.popleft(), x)

    @property
    def scan(self) -> Scan:
        """What all samples are, for which they are decoded once.

        Raises:
            DataError: one can't be decoded.
        """
        if self.known is None:
            self.known = self._scan()
        return self.known

    def _scan(self) -> Scan:
        low, high, odd, facts, start = np.inf, -np.inf, None, Facts(), 0
        hashes = np.empty(len(self), np.uint64)
        for x, more in self._decoded(_parts(len(self), CHUNK)):
            hashes[start : start + len(x)] = hashed(x)
            if x.dtype.kind in "iuf":
                low, high = min(low, float(x.min())), max(high, float(x.max()))
                finite = np.isfinite(x.reshape(len(x), -1)).all(1)
                odd = start + int(finite.argmin()) if odd is None and not finite.all() else odd
            facts = {k: max(facts.get(k, 0), v) if k == "peak" else facts.get(k, 0) + v for k, v in more.items()}
            start += len(x)
        return Scan(low, high, odd, hashes, facts)

    def _items(self, index: Index | slice | list[int]) -> list[Item]:
        values = (column[index].tolist() for column in self.columns)
        texts = (
            list(map(_files.text, column)) if column and isinstance(column[0], bytes) else column for column in values
        )
        return list(zip(*texts, strict=True))

    def _here(self, items: Sequence[Item]) -> Decoded:
        return self.decoder.decoded(items)

    def _decoded(self, parts: Iterable[Index]) -> Iterator[Decoded]:
        """Each part's samples in the order of their numbers there, some parts ahead of who asks."""
        if self.pool is None:
            yield from (self._here(self._items(part)) for part in parts)
            return
        waiting: deque[Future[Decoded]] = deque()
        try:
            for part in parts:
                waiting.append(self.pool.submit(self.decoder, self._items(part)))
                if len(waiting) > 2 * self.pool.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Block:
    """Some decoded samples of a split, found by their numbers there.

    Args:
        count: how many samples the split has.
        numbers: (N,) of those that are here, rising.
        x: (N, ...) these.
    """

    def __init__(self, count: int, numbers: Index, x: AnyArray) -> None:
        self._count, self._numbers, self._x = count, numbers, x
        self.shape, self.dtype = (count, *x.shape[1:]), x.dtype

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: object) -> AnyArray:
        return self._x[np.searchsorted(self._numbers, np.asarray(index))]


def ahead(x: Samples, parts: Iterable[Index]) -> Iterator[Rows]:
    """For each part what its samples can be taken of, by number: all of them, where they lie in memory."""
    return x.ahead(parts) if isinstance(x, Lazy) else (x for _ in parts)


def hashed(x: AnyArray) -> NDArray[np.uint64]:
    """(N,) 64 bits of each sample's content."""
    if x.dtype.kind in "UO":
        contents = (str(text).strip().encode() for text in x)
    else:
        contents = (sample.tobytes() for sample in x)
    digests = b"".join(hashlib.blake2b(content, digest_size=8).digest() for content in contents)
    return np.frombuffer(digests, np.uint64)


def _parts(count: int, size: int) -> Iterator[Index]:
    return (np.arange(start, min(start + size, count)) for start in range(0, count, size))
