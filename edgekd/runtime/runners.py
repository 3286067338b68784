"""What measures a job: processes here, or a connection to another machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from edgekd import host
from edgekd.runtime import bench as benching
from edgekd.runtime import cold, remote
from edgekd.runtime.bench import BenchJob, BenchResult
from edgekd.runtime.devices._find import find


class Runner(Protocol):
    """Measures where it is told to, and says which machine that is."""

    def bench(self, job: BenchJob) -> BenchResult:
        """Latencies, in a process of their own; raises what ``bench_in_subprocess`` raises."""

    def cold(self, job: BenchJob) -> cold.Cold:
        """The first second of a job's baseline."""

    def facts(self) -> dict[str, Any]:
        """``{"facts": host.facts(), "key": host.measured_key(0)}`` of that machine."""


class Here:
    """Processes on this machine."""

    def bench(self, job: BenchJob) -> BenchResult:
        return benching.bench_in_subprocess(job)

    def cold(self, job: BenchJob) -> cold.Cold:
        return cold.in_subprocess(job)

    def facts(self) -> dict[str, Any]:
        return host.told()


@dataclass
class Elsewhere:
    """A device, over a connection that is opened for each job: hours of training may lie between two."""

    device: str
    tell: remote.Tell
    _facts: dict[str, Any] | None = None

    def bench(self, job: BenchJob) -> BenchResult:
        with remote.Remote(find(self.device), self.tell) as there:
            return there.bench(job)

    def cold(self, job: BenchJob) -> cold.Cold:
        with remote.Remote(find(self.device), self.tell) as there:
            return there.cold(job)

    def facts(self) -> dict[str, Any]:
        """Asked once: while it runs, a device stays what it is."""
        if self._facts is None:
            with remote.Remote(find(self.device), self.tell) as there:
                self._facts = there.facts()
        return self._facts


def of(device: str, tell: remote.Tell = lambda line: None) -> Runner:
    """A runner for a long story.

    Raises:
        UsageError: neither an address nor a device's name.
    """
    if device == "local":
        return Here()
    find(device)
    return Elsewhere(device, tell)


@contextlib.contextmanager
def opened(device: str, tell: Callable[[str], None] = lambda line: None) -> Iterator[Runner]:
    """A runner for a few jobs in a row, over one connection."""
    if device == "local":
        yield Here()
        return
    with remote.Remote(find(device), tell) as there:
        yield there
