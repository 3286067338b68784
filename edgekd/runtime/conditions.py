"""What a machine did while something was measured: others' work, time that was taken away, heat, energy.

A figure may be called stable only where nothing of this moved it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base import family, host, units
from edgekd.document import bench as documents

BUSY = 0.1  # CPUs that others use, beyond which a result says so
STOLEN = 0.02  # of the time, by a hypervisor
DRIFT = 1.1  # by which the last quarter of the samples may be slower than the first
HOT = 80.0  # degrees Celsius, above which many boards slow down


@dataclass(frozen=True)
class Conditions:
    """None where the system does not tell.

    Attributes:
        others: CPUs that other processes used on average.
        stolen: share of this machine's time that its hypervisor gave to others, 0..1.
        celsius: the hottest sensor, before and after.
        megahertz: of the first CPU, before and after.
        joules: that the CPU package used, whoever used it (RAPL).
        seconds: how long all this was watched.
    """

    others: float | None = None
    stolen: float | None = None
    celsius: tuple[float, float] | None = None
    megahertz: tuple[float, float] | None = None
    joules: float | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, table: documents.Conditions) -> Conditions:
        """From what ``table`` gave."""
        return cls(
            table["others"],
            table["stolen"],
            _pair(table["celsius"]),
            _pair(table["megahertz"]),
            table["joules"],
            table["seconds"],
        )

    @property
    def table(self) -> documents.Conditions:
        """As JSON has it, which knows no tuples."""
        return {
            "others": self.others,
            "stolen": self.stolen,
            "celsius": None if self.celsius is None else list(self.celsius),
            "megahertz": None if self.megahertz is None else list(self.megahertz),
            "joules": self.joules,
            "seconds": self.seconds,
        }


def _pair(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])


@contextmanager
def watched() -> Iterator[Callable[[], Conditions]]:
    """Gives a function that tells, once the block is left, what the machine did in it."""
    observed = [Conditions()]
    wall, cpu = time.perf_counter(), _own_seconds()
    busy, stolen, heat, clock, energy = _now()
    yield lambda: observed[0]
    seconds, mine = time.perf_counter() - wall, _own_seconds() - cpu
    busy_, stolen_, heat_, clock_, energy_ = _now()
    others = None if busy is None or busy_ is None else round(max(0.0, busy_ - busy - mine) / seconds, 2)
    share = None if stolen is None or stolen_ is None else round((stolen_ - stolen) / seconds / _all_cores(), 4)
    observed[0] = Conditions(
        others,
        share,
        None if heat is None or heat_ is None else (heat, heat_),
        None if clock is None or clock_ is None else (clock, clock_),
        None if energy is None or energy_ is None or energy_ < energy else energy_ - energy,  # it counts round
        seconds,
    )


def _own_seconds() -> float:
    """CPU seconds of this process and of what it started: some runtimes compute in a process of their own."""
    return time.process_time() + family.seconds_of_started(os.getpid())


def _all_cores() -> int:
    """The machine's, of which this process may use some: the system counts what was stolen of all."""
    return os.cpu_count() or 1


def _now() -> tuple[float | None, float | None, float | None, float | None, float | None]:
    return host.busy_seconds(), host.stolen_seconds(), host.celsius(), host.megahertz(), host.joules()


def doubts(conditions: Conditions, samples: NDArray[np.int64]) -> list[str]:
    """Why a figure is not stable, in words; empty where it is.

    Args:
        samples: nanoseconds in the order in which they were taken.
    """
    reasons = []
    if conditions.others is not None and conditions.others > BUSY:
        reasons.append(f"other processes used {conditions.others:.1f} of {_all_cores()} CPUs: the times are too long")
    if conditions.stolen is not None and conditions.stolen > STOLEN:
        reasons.append(f"the hypervisor took {units.share(conditions.stolen, 0)} of the time away")
    quarter = len(samples) // 4
    if quarter >= 10:
        first, last = (float(np.median(part)) for part in (samples[:quarter], samples[-quarter:]))
        if last > DRIFT * first:
            heat = f", {conditions.celsius[1]:.0f} °C" if conditions.celsius and conditions.celsius[1] >= HOT else ""
            reasons.append(f"it throttles: the last quarter took {last / first:.2f} times as long as the first{heat}")
    return reasons
