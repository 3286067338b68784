"""Samples that processes of their own decode, so that a training is kept fed.

Threads would not do: Pillow holds Python's lock for half of the time, and tells of damage through the warnings and the
stderr of the whole process. A worker costs 22 MB of memory and 0.2 s to start.

A request is a line of JSON: a decoder's class, its fields and the items to decode. A reply is the length of a head (4
bytes), the head in JSON, and the bytes of the array that it describes. A worker ends when its stdin does, and so with
the process that started it, however that ends.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base import errors
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, FactoryError, ResourceError

Item = Sequence[str | int]  # what says which sample is meant: its file, where it lies there
Facts = dict[str, float]  # what there is to know of samples, counted
Decoded = tuple[AnyArray, Facts]
HEAD = 4  # bytes of the length of a reply's head
GRACE = 2.0  # seconds a worker has to end
_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of numpy, whose threads have buffers of their own


class Decoder(Protocol):
    """How the samples of a split are read: a frozen dataclass whose fields JSON can say.

    Its module imports no torch: each worker imports it. What it gives for an item depends on the item alone.
    """

    @property
    def shape(self) -> Sequence[int]:
        """Of a sample."""

    @property
    def dtype(self) -> str:
        """Of a sample's numbers, as numpy calls it."""

    def decoded(self, items: Sequence[Item]) -> Decoded:
        """(N, *shape) the samples, and what there is to know of them.

        Raises:
            DataError: one can't be read, or has another shape; names it.
        """

    def place(self, item: Item) -> str:
        """What an error calls a sample."""


class Pool:
    """So many processes that decode, started when they are first asked; they end with the pool.

    Args:
        workers: how many, from 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._started: list[_Worker] = []
        self._threads = ThreadPoolExecutor(workers, "edgekd-decode", initializer=_own_worker, initargs=(self._started,))
        weakref.finalize(self, _end, self._threads, self._started)

    def submit(self, decoder: Decoder, items: Sequence[Item]) -> Future[Decoded]:
        """Have samples decoded; the future raises what ``decoded`` raises, and ResourceError where memory is out."""
        # Made here: what each thread allocates comes from a heap of its own, which grows in pieces.
        room = np.empty((len(items), *decoder.shape), decoder.dtype)
        return self._threads.submit(_decoded, decoder, items, room)


_thread = threading.local()


def _own_worker(started: list[_Worker]) -> None:
    """A thread of a pool has a worker, to which it writes and from which it reads in turn."""
    _thread.worker = _Worker()
    started.append(_thread.worker)


def _decoded(decoder: Decoder, items: Sequence[Item], room: AnyArray) -> Decoded:
    worker: _Worker = _thread.worker
    try:
        return room, worker.ask(decoder, items, room)
    except EOFError:
        code = worker.restarted()
    if len(items) > 1:  # each alone, that the error names the one
        for item in items:
            _decoded(decoder, [item], room[:1])
    where = decoder.place(items[0])
    if code == -signal.SIGKILL:
        what = "a process that decodes was killed from outside, as the system does where memory is out"
        raise ResourceError(what, where=where, hint="fewer data.workers take less memory")
    raise DataError("can't be decoded: the process that reads it crashed", where=where, found=f"exit code {code}")


def _end(threads: ThreadPoolExecutor, started: Sequence[_Worker]) -> None:
    threads.shutdown(wait=True, cancel_futures=True)
    for worker in started:
        worker.end()


class _Worker:
    """A process that decodes."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        # Its own group: who presses Ctrl-C means the build, which ends it.
        group = {"process_group": 0} if os.name == "posix" else {}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-P", "-m", "edgekd.learn.data._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **_ALONE, "PYTHONPATH": path},
            **group,  # type: ignore[call-overload]
        )

    def ask(self, decoder: Decoder, items: Sequence[Item], room: AnyArray) -> Facts:
        """Have samples decoded into an array of their shape and type. Raises EOFError where it ended instead."""
        kind, fields = type(decoder), dataclasses.asdict(decoder)  # type: ignore[call-overload]
        request = json.dumps([f"{kind.__module__}:{kind.__qualname__}", fields, items]).encode()
        stdin, stdout = cast("IO[bytes]", self.process.stdin), cast("IO[bytes]", self.process.stdout)
        try:
            rest = memoryview(request + b"\n")
            while rest:
                rest = rest[stdin.write(rest) :]
        except BrokenPipeError:
            raise EOFError from None
        length = int.from_bytes(_exactly(stdout, bytearray(HEAD)), "little")
        head = json.loads(bytes(_exactly(stdout, bytearray(length))))
        if "error" in head:
            raise errors.from_dict(head["error"], DataError)
        if (tuple(head["shape"]), head["dtype"]) != (room.shape, room.dtype.str):
            kind_of = f"{head['dtype']} {head['shape']}"
            where, allowed = decoder.place(items[0]), f"{room.dtype.str} {room.shape}"
            raise FactoryError("decodes other samples than it says", where=where, found=kind_of, allowed=allowed)
        if room.nbytes:
            _exactly(stdout, room.reshape(-1).view(np.uint8))
        facts: Facts = head["facts"]
        return facts

    def restarted(self) -> int:
        """Start another one in its place; the exit code of the one that ended, below 0 the signal."""
        self.end()
        code = int(self.process.returncode)
        self.__init__()  # type: ignore[misc]
        return code

    def end(self) -> None:
        """Let it end, and make it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _exactly(pipe: IO[bytes], buffer: bytearray | NDArray[np.uint8]) -> memoryview:
    """Fill a buffer. Raises EOFError where less comes."""
    filled = room = memoryview(buffer)  # type: ignore[arg-type]
    while room:
        count = pipe.readinto(room)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        room = room[count:]
    return filled
