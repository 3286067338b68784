"""Several processes that train one student: who is first, and what they tell each other.

``joined`` makes the group; inside ``together`` every rank does the same steps in the same order, and the functions here
are collective. Outside of it, as without a launcher, a process computes alone: the first rank rehearses, exports and
measures so. Nothing is pickled: tensors, and bytes by name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch import distributed as group

from edgekd.base import rank as environment
from edgekd.base.errors import DeviceError
from edgekd.base.rank import AGAIN, Rank
from edgekd.learn import meeting, neighbours
from edgekd.learn.meeting import Turns
from edgekd.learn.neighbours import Neighbours

Item = TypeVar("Item")
Files = dict[str, bytes]
WAIT = timedelta(days=1)  # for what all do together; one that died is known at once, and the first alone: ``meeting``

_rank: Rank | None = None
_near: Neighbours | None = None
_turns: Turns | None = None
_together = _called = False


@contextmanager
def joined(rank: Rank | None, tell: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """The group of all ranks, inside; None: there is one process.

    Args:
        tell: called with a line where others are waited for.

    Raises:
        DeviceError: the first rank is not reached, or others did not come.
    """
    global _rank, _near, _turns, _called
    if rank is None:
        yield
        return
    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(rank.local % gpus)
    backend = "cpu:gloo,cuda:nccl" if gpus >= rank.local_count else "gloo"  # NCCL has one rank a GPU
    store = meeting.store_of(rank, tell)
    _rank, _called = rank, False
    with _peers():
        group.init_process_group(backend, store=store, rank=rank.number, world_size=rank.count, timeout=WAIT)
    environment.forget(os.environ)
    _turns = Turns(store, rank.number)
    try:
        with _turns.beating(), _met(rank) as _near:
            yield
            if rank.number == 0 and not _called:
                _call(False)
    finally:
        _rank = _near = _turns = None
        group.destroy_process_group()


@contextmanager
def _met(rank: Rank) -> Iterator[Neighbours | None]:
    with ExitStack() as stack:
        with _peers():
            near = stack.enter_context(neighbours.met(rank))
        yield near


@contextmanager
def together() -> Iterator[None]:
    """All ranks do the same inside; the first calls the others, which wait for it here or in ``called``."""
    global _together
    if _rank is None:
        yield
        return
    if _rank.number == 0 or not _called:
        _call(True)
    _together = True
    try:
        yield
    finally:
        _together = False


def called() -> bool:
    """Whether the first rank has anything to train: asked once by each other one."""
    return _call(False)


def _call(wanted: bool) -> bool:
    global _called
    word = torch.tensor([int(wanted and _rank is not None and _rank.number == 0)])
    with _peers():
        _meet(word)
    _called = True
    return bool(word.item())


def _meet(numbers: Tensor) -> None:
    """Where the first rank worked alone until now, and the others wait for it: they are told its numbers, for their
    zeros. It goes on when all have come: when it ends, so may the store in which they wait."""
    if _turns is not None:
        _turns.meet()
    group.all_reduce(numbers)


def beside() -> int:
    """How many processes of the group this machine has, whether they work together just now or not."""
    return 1 if _rank is None else _rank.local_count


def count() -> int:
    """How many ranks work together here; 1: this process is alone."""
    return _rank.count if _rank is not None and _together else 1


def number() -> int:
    """Of this process, 0 where it is alone."""
    return _rank.number if _rank is not None and _together else 0


def is_first() -> bool:
    """Whether this process writes."""
    return number() == 0


def is_first_here() -> bool:
    """Whether this process writes what each machine keeps for itself."""
    return _rank is None or not _together or _rank.local == 0


def wait() -> None:
    """Until every rank is here."""
    if count() > 1:
        summed(torch.zeros(1))


def of_any(mine: Sequence[int], total: int) -> list[int]:
    """The numbers, of 0 to ``total`` - 1, that any rank has in its list."""
    if count() == 1:
        return list(mine)
    flags = torch.zeros(total, dtype=torch.int32)
    flags[list(mine)] = 1
    return torch.nonzero(largest(flags)).flatten().tolist()


def from_first(compute: Callable[[], Mapping[str, bytes] | None]) -> Files | None:
    """What the first rank computes, alone, told to all: bytes by name, or None."""
    global _together
    if count() == 1:
        answer = compute()
        return None if answer is None else dict(answer)
    files: Mapping[str, bytes] | None = None
    if is_first():
        _together = False
        try:
            files = compute()
        finally:
            _together = True
    return _told(files)


def _told(files: Mapping[str, bytes] | None) -> Files | None:
    """Bytes by name from the first rank to all."""
    header = b"" if files is None else json.dumps({name: len(data) for name, data in files.items()}).encode()
    data = bytearray(header + b"".join(() if files is None else files.values()))
    sizes = torch.tensor([len(header), len(data)])  # of the others 0
    with _peers():
        _meet(sizes)
        length, whole = sizes.tolist()
        if not length:
            return None
        buffer = torch.frombuffer(data, dtype=torch.uint8) if is_first() else torch.empty(whole, dtype=torch.uint8)
        group.broadcast(buffer, 0)
    data, files = bytearray(buffer.numpy()), {}
    for name, size in json.loads(data[:length].decode()).items():
        files[name] = bytes(data[length : length + size])
        length += size
    return files


def number_from_first(value: float) -> float:
    """The first rank's number, where other machines may round otherwise."""
    word = torch.tensor([value], dtype=torch.float64)
    if count() > 1:
        with _peers():
            group.broadcast(word, 0)
    return float(word.item())


def own(items: Sequence[Item]) -> tuple[int, Sequence[Item]]:
    """This rank's share of some items, in one piece, and how many come before it."""
    start, stop = share(len(items))
    return start, items[start:stop]


def share(total: int) -> tuple[int, int]:
    """From where to where this rank's share of so many goes: no two shares differ by more than one."""
    return total * number() // count(), total * (number() + 1) // count()


def summed(tensor: Tensor) -> Tensor:
    """The sum over all ranks, in place."""
    return _reduced(tensor, group.ReduceOp.SUM, np.add)


def largest(tensor: Tensor) -> Tensor:
    """The element-wise maximum over all ranks, in place."""
    return _reduced(tensor, group.ReduceOp.MAX, np.maximum)


def _reduced(tensor: Tensor, operation: group.ReduceOp.RedOpType, combine: np.ufunc) -> Tensor:
    with _peers():
        if _near is not None and tensor.device.type == "cpu" and tensor.dtype != torch.bfloat16:  # numpy has none
            _near.reduce(tensor, combine)
        else:
            group.all_reduce(tensor, operation)
    return tensor


def rows(mine: Tensor | None, start: int, total: int) -> Tensor:
    """(total, C) of what each rank has some rows of.

    Args:
        mine: (n, C) from row ``start`` on; None: this rank has none.
    """
    columns = largest(torch.tensor([0 if mine is None else mine.shape[1]]))
    whole = torch.zeros(total, int(columns), device=None if mine is None else mine.device)
    if mine is not None:
        whole[start : start + len(mine)] = mine
    return summed(whole)


@contextmanager
def _peers() -> Iterator[None]:
    """What a collective operation raises where another process is gone.

    Raises:
        DeviceError: says so.
    """
    try:
        yield
    except RuntimeError as err:
        reason = re.sub(
            r"^\[[^]]*\] *", "", [*str(err).strip().splitlines(), ""][0]
        )  # without a place in gloo's source
        raise DeviceError("another rank ended", where=str(_rank), found=reason, hint=AGAIN) from err
