"""What measures a job: processes here, or a connection to another machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edgekd.base import host
from edgekd.base.errors import EdgekdError
from edgekd.document.bench import Cold
from edgekd.document.kernel import Kernel
from edgekd.document.machine import Told
from edgekd.runtime import backend as backends
from edgekd.runtime import bench as benching
from edgekd.runtime import cold, remote, shared_folder
from edgekd.runtime.bench import BenchResult
from edgekd.runtime.devices import find
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.shared_folder import SharedFolder

LOW = 10  # the percentile of a glance
QUICK_KERNELS = 1.0  # seconds that looking at a candidate's kernels may take where a build is quick


class Runner(Protocol):
    """Measures where it is told to, and says which machine that is."""

    def bench(self, job: BenchJob) -> BenchResult:
        """Latencies, in a process of their own; raises what ``bench_in_subprocess`` raises."""

    def cold(self, job: BenchJob) -> Cold:
        """The first second of a job's baseline."""

    def facts(self) -> Told:
        """``{"facts": host.facts(), "key": host.measured_key(0)}`` of that machine."""


class BuildRunner(Runner, Protocol):
    """A runner for a build, which also asks what a machine is and what its runtime runs."""

    def isa(self) -> Set[str]:
        """The CPU's features, as ``host.isa`` names them."""

    def kernels(self, job: BenchJob, *, quick: bool) -> dict[str, list[Kernel] | None]:
        """What the runtime really runs of each candidate; None where it can't tell.

        ``quick``: where looking took long once, the others are not looked at.
        """

    def glance(self, job: BenchJob) -> float:
        """Milliseconds of the baseline from a few runs, to tell shapes apart and not to quote.

        The tenth percentile, since what else a machine does only adds.
        """


class LocalRunner:
    """Processes on this machine."""

    def bench(self, job: BenchJob) -> BenchResult:
        return benching.bench_in_subprocess(job)

    def cold(self, job: BenchJob) -> Cold:
        return cold.in_subprocess(job)

    def facts(self) -> Told:
        return host.told()

    def isa(self) -> Set[str]:
        return host.isa()

    def kernels(self, job: BenchJob, *, quick: bool) -> dict[str, list[Kernel] | None]:
        return kernels(job.compiler(), job.candidates, job.inputs, quick=quick)

    def glance(self, job: BenchJob) -> float:
        """In this process: a process of its own would take longer than the runs."""
        backend = job.compiler()
        run = benching.runner(backend.open(job.candidates[job.baseline], job.batch), job.inputs)
        taken: list[int] = []
        while len(taken) < job.min_samples or sum(taken) < job.min_seconds * 1e9:
            taken.append(run())
        return float(np.percentile(taken, LOW)) / 1e6


@dataclass
class DeviceRunner:
    """A device, over a connection that is opened for each job: hours of training may lie between two."""

    device: str
    tell: remote.Tell
    _facts: Told | None = None

    def bench(self, job: BenchJob) -> BenchResult:
        with self._connected() as there:
            return there.bench(job)

    def cold(self, job: BenchJob) -> Cold:
        with self._connected() as there:
            return there.cold(job)

    def facts(self) -> Told:
        """Asked once: while it runs, a device stays what it is."""
        if self._facts is None:
            with self._connected() as there:
                self._facts = there.facts()
        return self._facts

    def isa(self) -> Set[str]:
        return set(self.facts()["facts"]["isa"])

    def kernels(self, job: BenchJob, *, quick: bool) -> dict[str, list[Kernel] | None]:
        profiles: dict[str, list[Kernel] | None] = {}
        for name, data in job.candidates.items():
            one = replace(job, candidates={name: data}, baseline=name, min_samples=1, min_seconds=0.0, profile=True)
            tables = self.bench(one).kernels
            profiles[name] = None if tables is None else [Kernel.of(kernel) for kernel in tables]
        return profiles

    def glance(self, job: BenchJob) -> float:
        return float(np.percentile(self.bench(job).samples[job.baseline], LOW)) / 1e6

    def _connected(self) -> contextlib.AbstractContextManager[Runner]:
        return _connected(self.device, self.tell, self._facts)


def _connected(
    device: str, tell: remote.Tell, expected: Told | None = None
) -> contextlib.AbstractContextManager[Runner]:
    """A device by its address or name; ``expected``: as of ``SharedFolder``."""
    if (folder := shared_folder.path_of(device)) is not None:
        return contextlib.nullcontext(SharedFolder(folder, tell, expected))
    return remote.Remote(find(device), tell)


def kernels(
    backend: backends.Backend,
    candidates: Mapping[str, Mapping[str, bytes]],
    inputs: Mapping[str, backends.Array],
    *,
    quick: bool,
) -> dict[str, list[Kernel] | None]:
    """``Machine.kernels`` by a backend of this machine."""
    profiles: dict[str, list[Kernel] | None] = {}
    took = 0.0
    for name, data in candidates.items():
        started = time.monotonic()
        profiles[name] = None
        if not quick or took <= QUICK_KERNELS:
            with contextlib.suppress(EdgekdError):  # what a runtime can't tell is no reason to ship nothing
                profiles[name] = backends.kernels(backend, data, inputs)
        took = max(took, time.monotonic() - started)
    return profiles


def of(device: str, tell: remote.Tell = lambda line: None) -> BuildRunner:
    """A runner for a long story.

    Raises:
        UsageError: neither an address nor a device's name.
    """
    if device == "local":
        return LocalRunner()
    if shared_folder.path_of(device) is None:
        find(device)
    return DeviceRunner(device, tell)


@contextlib.contextmanager
def opened(device: str, tell: Callable[[str], None] = lambda line: None) -> Iterator[Runner]:
    """A runner for a few jobs in a row, over one connection."""
    if device == "local":
        yield LocalRunner()
        return
    with _connected(device, tell) as there:
        yield there
