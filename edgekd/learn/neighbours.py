"""Sums over the ranks of one machine, in memory that they share.

Gloo hands each operation to threads of its own and wakes them: 0.6 ms for the sum of 100 numbers of two processes, and
a network with 20 BatchNorms asks for 44 a step. Here every rank writes its numbers into the memory, sees that the
others have, and adds up all of them, in the order of the ranks: as arrays of numpy, of which so few numbers take 5 us,
as tensors 21. A rank that ended is known by its lock, which the system lets go of.

Only where stores are seen in their order by other cores: x86-64 (Intel SDM, volume 3, 9.2.2).
"""

from __future__ import annotations

import mmap
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch import distributed as group

from edgekd.base import locks, places
from edgekd.base.rank import Rank

SLOT = 2**20  # bytes a rank writes at once
LINE = 64  # bytes that cores hand each other
SPUN_S = 2e-3  # of waiting without sleep
ASLEEP_S = 1e-2
DOUBTED_S = 0.5  # after so long the others are looked after
MEMORY = Path("/dev/shm")
PATH = 512  # bytes of the folder's name as it is told


class Neighbours:
    """The ranks of one machine, and the memory between them.

    Args:
        memory: of ``size_of(count)`` bytes, zeros at first.
        number: of this rank.
        alive: whether all others still run.
    """

    def __init__(self, memory: mmap.mmap, number: int, count: int, alive: Callable[[], bool]) -> None:
        self._number, self._alive, self._turn = number, alive, 0
        # Whose turn it is at, a rank a line; numbers of the turn after next go where this turn's are, as by then
        # everybody has read these.
        self._turns = np.frombuffer(memory, np.int64, count * LINE // 8).reshape(count, -1)[:, 0]
        self._slots = np.frombuffer(memory, np.uint8, offset=count * LINE).reshape(2, count, SLOT)

    def reduce(self, tensor: Tensor, combine: np.ufunc) -> None:
        """Combine a contiguous tensor, of a type that numpy has, with those of all others, in place.

        Args:
            combine: of two numbers, one of the ranks before and one of the next.

        Raises:
            RuntimeError: another rank ended.
        """
        numbers = tensor.detach().numpy().reshape(-1)
        slots = self._slots.view(numbers.dtype)
        for start in range(0, len(numbers), slots.shape[2]):
            part = numbers[start : start + slots.shape[2]]
            self._turn += 1
            by_rank = slots[self._turn % 2, :, : len(part)]
            by_rank[self._number] = part
            self._turns[self._number] = self._turn
            self._wait()
            combine(by_rank[0], by_rank[1], out=part)
            for other in by_rank[2:]:
                combine(part, other, out=part)

    def _wait(self) -> None:
        """Until all are at this turn: most come within less time than it takes to be woken."""
        begun = doubted = time.perf_counter()
        while min(self._turns.tolist()) < self._turn:
            now = time.perf_counter()
            if now - begun < SPUN_S:
                os.sched_yield()
                continue
            time.sleep(min((now - begun) / 10, ASLEEP_S))
            if now - doubted > DOUBTED_S:
                doubted = now
                if not self._alive() and min(self._turns.tolist()) < self._turn:
                    raise RuntimeError("its process is gone")


def size_of(count: int) -> int:
    """Bytes of the memory between so many ranks."""
    return count * (LINE + 2 * SLOT)


@contextmanager
def met(rank: Rank) -> Iterator[Neighbours | None]:
    """The others of this machine, where all ranks are on it and share memory. Collective."""
    known = locks.fcntl is not None and platform.machine() in ("x86_64", "AMD64")
    if rank.count != rank.local_count or not known:
        yield None
        return
    with ExitStack() as stack:
        folder = _folder(rank, stack)
        parts = None if folder is None else _opened(folder, rank, stack)
        if not _everybody(parts is not None) or parts is None:
            yield None
            return
        memory, others = parts
        yield Neighbours(memory, rank.number, rank.count, lambda: all(locks.take(one) is False for one in others))


def _folder(rank: Rank, stack: ExitStack) -> Path | None:
    """A new one of the first rank's, told to all; it is gone when that one leaves. None: there can't be one."""
    name = torch.zeros(PATH, dtype=torch.uint8)
    if rank.number == 0:
        with suppress(OSError):
            folder = tempfile.mkdtemp(prefix="edgekd-ranks-", dir=MEMORY)
            stack.callback(places.remove, Path(folder))
            (Path(folder) / "memory").write_bytes(bytes(size_of(rank.count)))
            path = os.fsencode(folder)
            name[: len(path)] = torch.frombuffer(bytearray(path), dtype=torch.uint8)
    group.broadcast(name, 0)
    path = bytes(name.tolist()).rstrip(b"\0")
    return Path(os.fsdecode(path)) if path else None


def _opened(folder: Path, rank: Rank, stack: ExitStack) -> tuple[mmap.mmap, Sequence[int]] | None:
    """The memory, and a handle of each other rank's lock, which that one holds; None: they can't be had."""
    files = [folder / f"rank-{number}" for number in range(rank.count)]
    try:
        mine = os.open(files[rank.number], os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        stack.callback(os.close, mine)
        is_mine = locks.take(mine)
    except OSError:
        is_mine = None
    if not _everybody(is_mine is True):
        return None
    try:
        others = [os.open(file, os.O_RDWR) for number, file in enumerate(files) if number != rank.number]
        for handle in others:
            stack.callback(os.close, handle)
        with open(folder / "memory", "r+b") as file:
            return mmap.mmap(file.fileno(), size_of(rank.count)), others
    except (OSError, ValueError):
        return None


def _everybody(able: bool) -> bool:
    """Whether all ranks are able to."""
    failed = torch.tensor([int(not able)])
    group.all_reduce(failed)
    return not failed.item()
