"""How many runs a second a machine does when several are asked for at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from edgekd.base import confined
from edgekd.runtime.backend import Array, Session

WARM_UP = 0.1  # seconds of each stream that are not counted


def rate(session: Session, inputs: Mapping[str, Array], streams: int, seconds: float) -> float:
    """Runs a second of all streams together: each a thread with a session of its own on the one compiled model.

    Args:
        inputs: one batch.
        streams: 1 or more. OpenVINO runs so many at once as it was compiled for (its option ``streams``).
        seconds: how long; runs that were begun are ended and counted, with the time that they took.
    """

    def work(fork: Session, end: float) -> int:
        count = 0
        while count == 0 or time.perf_counter() < end:
            fork.run(inputs)
            count += 1
            confined.alive()
        return count

    sessions = [session.fork() for _ in range(streams)]
    with ThreadPoolExecutor(streams) as pool:
        for limit in (WARM_UP, seconds):
            started = time.perf_counter()
            counts = list(pool.map(work, sessions, [started + limit] * streams))
    return sum(counts) / (time.perf_counter() - started)
