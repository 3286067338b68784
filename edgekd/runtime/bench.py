"""Latency: sessions in, samples in nanoseconds out, and what follows from them.

The rules: one process a backend; the clock is ``perf_counter_ns``; no garbage collection while it runs; warm-up until
stable; candidates in turns, so that whatever slows the machine slows them all, and each time in another order, so that
none always follows the one that leaves the clock low or the caches full; every sample kept. A turn is a short block of
runs (about ``BLOCK_SECONDS``) behind one untimed run, which brings the candidate's weights back into the caches: the
figures are then those of an app that runs one model. Copies in and out of the session are counted.

``python -m edgekd.runtime.bench FOLDER`` measures a job that was written to a folder; see ``bench_in_subprocess``.
"""

from __future__ import annotations

import gc
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base import child, confined, host
from edgekd.base.disk import disk, temporary, write_synced
from edgekd.base.errors import EdgekdError, UsageError
from edgekd.document import bench as documents
from edgekd.document.kernel import KernelTable
from edgekd.document.machine import Machine
from edgekd.runtime import backend as backends
from edgekd.runtime import conditions, throughput
from edgekd.runtime.backend import Apart, Array, SelfTimed, Session
from edgekd.runtime.conditions import Conditions
from edgekd.runtime.jobs import BenchJob, read_job, write_job
from edgekd.runtime.left import check_outcome, read_left, tell_error

Samples = NDArray[np.int64]
Found = TypeVar("Found")

BLOCK_SECONDS = 0.005
MAX_BLOCK = 64
UNEQUAL = 20
STABLE = 0.03  # two windows in a row whose medians differ by less are a warm session
WARM_UP_SECONDS = 0.05, 3.0  # at most, for each: ``WARM_UP`` times the seconds that are timed, within these
WARM_UP = 6
RESAMPLES = 2000
PARTED = 100  # runs whose copies are timed apart
RESULT = "result.json"
MOST = 64_000_000  # bytes of result.json: some 10 million runs, a minute of a model that takes 6 us


def measure(
    sessions: Mapping[str, Session],
    inputs: Mapping[str, Array],
    *,
    baseline: str,
    min_samples: int = 100,
    min_seconds: float = 1.0,
) -> dict[str, Samples]:
    """Time sessions in turns, each turn in an order of its own; the orders are the same each time.

    Args:
        sessions: by name; all take ``inputs``.
        inputs: one batch.
        baseline: the name that the others are compared with.
        min_samples: at least so many runs of each, 1 or more.
        min_seconds: at least so much running time of each, or ``UNEQUAL`` times as much of the slowest: 200 ms beside
            0.2 ms would else take half an hour.

    Returns:
        Nanoseconds of every timed run, in order, equally many of each: sample i of one and of another lie within one
        turn of each other, which is what ``ratio_ci`` builds on.

    Raises:
        UsageError: the baseline is not among the sessions, or they don't take the inputs.
    """
    if baseline not in sessions:
        raise UsageError("no such candidate", where="baseline", found=baseline, allowed=sessions)
    names = [baseline, *(name for name in sessions if name != baseline)]
    runs: dict[str, Callable[[], int]] = {name: runner(sessions[name], inputs) for name in names}
    taken: dict[str, list[int]] = {name: [] for name in names}
    spent = dict.fromkeys(names, 0)
    with _no_gc():
        most = float(np.clip(WARM_UP * min_seconds, *WARM_UP_SECONDS))
        slowest = max(_warm_up(run, most) for run in runs.values())
        block = int(np.clip(BLOCK_SECONDS * 1e9 / slowest, 1, MAX_BLOCK))
        shuffle = random.Random(0).shuffle
        while len(taken[baseline]) < min_samples or not _enough(spent.values(), min_seconds * 1e9):
            shuffle(names)
            for name in names:
                samples = _block(runs[name], block)
                taken[name] += samples
                spent[name] += sum(samples)
    return {name: np.array(samples, np.int64) for name, samples in taken.items()}


def _enough(spent: Collection[int], wanted: float) -> bool:
    return min(spent) >= wanted or max(spent) >= UNEQUAL * wanted


def summary(samples: Samples) -> documents.Latency:
    """Milliseconds: ``p50 p90 p95 p99 mean std min max``. Percentiles interpolate linearly; nothing is trimmed."""
    ms = np.asarray(samples, np.float64) / 1e6
    p50, p90, p95, p99 = (float(value) for value in np.percentile(ms, [50, 90, 95, 99]))
    return {
        "p50": p50,
        "p90": p90,
        "p95": p95,
        "p99": p99,
        "mean": float(ms.mean()),
        "std": float(ms.std()),
        "min": float(ms.min()),
        "max": float(ms.max()),
    }


def ratio_ci(a: Samples, b: Samples, seed: int = 0) -> tuple[float, tuple[float, float]]:
    """How many times as long ``a`` takes as ``b``: p50 over p50, with its 95 % interval.

    The interval is a percentile bootstrap over up to 100 blocks of neighbouring runs, drawn for both alike: runs next
    to each other are not independent, and both sides of a block saw the same machine (Künsch 1989, block bootstrap).

    Args:
        a, b: samples of one ``measure``, equally many, at least 2 of each.
        seed: of the draws.

    Returns:
        The ratio and the interval (low, high), which holds the ratio.

    Raises:
        UsageError: too few, or not equally many.
    """
    if len(a) != len(b) or len(a) < 2:
        raise UsageError("an interval needs two equal numbers of samples", found=(len(a), len(b)), allowed="2 or more")
    blocks = min(100, len(a))
    edges = np.linspace(0, len(a), blocks + 1).astype(int)
    medians = np.array([[np.median(s[i:j]) for i, j in itertools.pairwise(edges)] for s in (a, b)])
    draws = np.random.default_rng(seed).integers(0, blocks, (RESAMPLES, blocks))
    top, bottom = np.median(medians[:, draws], axis=2)
    low, high = np.percentile(top / bottom, [2.5, 97.5])
    ratio = float(np.median(a) / np.median(b))
    return ratio, (min(float(low), ratio), max(float(high), ratio))


@dataclass(frozen=True)
class BenchResult:
    """What was measured, and on what.

    Attributes:
        samples: nanoseconds by candidate, as ``measure`` gives them.
        runtime: name and version.
        host: ``host.facts()`` from just before.
        conditions: what the machine did meanwhile.
        note: why the figures are not stable; None where they are.
        rate: runs a second of the baseline, in as many streams as the job has.
        kernels: what the runtime runs of the baseline, where the job asks and the runtime tells.
        parts: typical milliseconds of the parts of a run of the baseline, where its session tells them apart.
    """

    samples: Mapping[str, Samples]
    runtime: str
    host: Machine
    conditions: Conditions
    note: str | None
    rate: float | None = None
    kernels: Sequence[KernelTable] | None = None
    parts: Mapping[str, float] | None = None

    @property
    def others(self) -> float | None:
        """CPUs that other processes used meanwhile."""
        return self.conditions.others


def bench_in_process(job: BenchJob) -> BenchResult:
    """Open every candidate and measure, here.

    Raises:
        UnavailableError, IntegrityError, ExportError, UsageError: as the backend does.
    """
    host.check_isa(job.isa, job.where)
    backend = job.compiler()
    batch = next((len(a) for a in job.inputs.values() if a.ndim), 1) if job.batch is None else job.batch
    confined.at(f"opening it on {job.backend}")
    openers = {name: job.compiler(**options) for name, options in job.options_of.items()}
    sessions = {name: openers.get(name, backend).open(files, batch) for name, files in job.candidates.items()}
    facts = host.facts()
    confined.at(f"running it on {job.backend}")
    with conditions.watched() as observed:
        samples = measure(
            sessions, job.inputs, baseline=job.baseline, min_samples=job.min_samples, min_seconds=job.min_seconds
        )
    note = "; ".join(conditions.doubts(observed(), samples[job.baseline])) or None
    parts = _parts(sessions[job.baseline], job.inputs)
    return BenchResult(samples, backend.version(), facts, observed(), note, _rate(job), _kernels(job, backend), parts)


def _parts(session: Session, inputs: Mapping[str, Array]) -> dict[str, float] | None:
    """Medians over some warm runs, in milliseconds."""
    if not isinstance(session, Apart) or not session.apart(inputs):
        return None
    taken = []
    for _ in range(PARTED):
        confined.alive()
        taken.append(session.apart(inputs))
    return {name: float(np.median([parts[name] for parts in taken])) / 1e6 for name in taken[0]}


def _rate(job: BenchJob) -> float | None:
    """Runs a second in several streams, compiled for them where the backend has that option."""
    if job.streams == 1:
        return None
    backend = job.compiler()
    if hasattr(backend, "streams"):
        backend = job.compiler(streams=job.streams)
    session = backend.open(job.candidates[job.baseline], job.batch)
    return throughput.rate(session, job.inputs, job.streams, job.min_seconds)


def _kernels(job: BenchJob, backend: backends.Backend) -> list[KernelTable] | None:
    kernels = backends.kernels(backend, job.candidates[job.baseline], job.inputs) if job.profile else None
    return None if kernels is None else [kernel.table for kernel in kernels]


def bench_in_subprocess(job: BenchJob) -> BenchResult:
    """The same in a fresh Python, which loads numpy and the one runtime and nothing else.

    Raises:
        EdgekdError: the error of the child; or that it crashed, with the end of what it wrote.
        IntegrityError: it crashed, or passed a limit, where the job has limits.
        ResourceError: it was killed, as the system does when memory is out.
    """
    return in_child(job, "edgekd.runtime.bench", lambda folder: read_result(folder, job))


def in_child(job: BenchJob, module: str, read: Callable[[Path], Found]) -> Found:
    """Run a module in a fresh Python on the folder of a job, and read there what it found."""
    with temporary("bench") as folder:
        write_job(job, folder)
        ended = child.run(module, [str(folder), str(time.monotonic_ns())], job.limits, job.where)
        if job.limits is not None and not (folder / "error.json").is_file():
            ended.hold(job.where)
        check_outcome(folder, ended.code, ended.stderr, job.backend)
        return read(folder)


def main(folder: Path) -> int:
    """The child: a job's folder in; ``result.json`` or ``error.json`` beside it out. Returns the exit code."""
    confined.begin()
    try:
        with disk(folder):
            write_result(bench_in_process(read_job(folder)), folder)
    except EdgekdError as err:
        return tell_error(folder, err)
    confined.done()
    return 0


def runner(session: Session, inputs: Mapping[str, Array]) -> Callable[[], int]:
    """What runs once and tells how many nanoseconds that took; it ran once already."""
    session.run(inputs)  # wrong inputs are told before anything is timed
    if isinstance(session, SelfTimed):
        timed = session.timed
        return lambda: timed(inputs)
    clock, ask = time.perf_counter_ns, session.run

    def run() -> int:
        started = clock()
        ask(inputs)
        return clock() - started

    return run


def _block(run: Callable[[], int], runs: int) -> list[int]:
    """Nanoseconds of some runs behind one that does not count."""
    confined.alive()
    run()
    return [run() for _ in range(runs)]


def _warm_up(run: Callable[[], int], most: float) -> float:
    """Run until two windows in a row agree, or so many seconds are over; the last window's median in ns."""
    started = time.perf_counter()
    size, before, agreed = 5, 0.0, 0
    while True:
        now = float(np.median(_block(run, size)))
        agreed = agreed + 1 if abs(now - before) <= STABLE * now else 0
        if agreed == 2 or time.perf_counter() - started > most:
            return max(now, 1.0)
        before = now
        size = int(np.clip(2e7 / max(now, 1.0), 5, 500))  # windows of about 20 ms


@contextmanager
def _no_gc() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_result(result: BenchResult, folder: Path) -> None:
    """What ``read_result`` reads again."""
    samples = {name: values.tolist() for name, values in result.samples.items()}
    table = {**vars(result), "samples": samples, "conditions": result.conditions.table}
    write_synced(folder / RESULT, json.dumps(table).encode())


def read_result(
    folder: Path, job: BenchJob, error: type[EdgekdError] = EdgekdError, where: str = "this machine"
) -> BenchResult:
    """What ``main`` left of a job.

    Args:
        error: what a result is that is none; where: who left it.
    """
    table = read_left(folder, RESULT, documents.Result, error, where, MOST)
    place, counts = f"{where}: {RESULT}: samples", {name: len(taken) for name, taken in table["samples"].items()}
    if counts.keys() != job.candidates.keys():
        raise error("samples of other candidates", where=place, found=list(counts), allowed=list(job.candidates))
    if len(set(counts.values())) > 1 or counts[job.baseline] < job.min_samples:
        raise error("not equally many samples", where=place, found=counts, allowed=f"{job.min_samples} or more of each")
    samples = {name: np.array(taken, np.int64) for name, taken in table["samples"].items()}
    return BenchResult(
        samples,
        table["runtime"],
        table["host"],
        Conditions.of(table["conditions"]),
        table["note"],
        table["rate"],
        table["kernels"],
        table["parts"],
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
