"""Benchmark a bundle: every variant that runs on a device, each in processes of its own.

What a latency holds: copies in and out of the runtime and the inference. Preprocessing is not in it.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from edgekd.base import child_limits, limits, units
from edgekd.base.child_limits import Limits
from edgekd.base.errors import DeviceError, UnavailableError, UsageError, in_bundle
from edgekd.document import bench as documents
from edgekd.document.bench import DeviceResult, Row, Skipped
from edgekd.runtime import batches, kept, remote, runners, statistics
from edgekd.runtime import bench as benching
from edgekd.runtime import bundle as bundles
from edgekd.runtime.bench import BenchResult
from edgekd.runtime.bundle import Bundle, Variant
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.model import p50
from edgekd.runtime.runners import Runner
from edgekd.runtime.steady import folder_of, steadily

SECONDS = 600.0  # of a variant, with the running time that was asked for 20 times over
BOUNDS = {"p90": 0.9, "p99": 0.99}


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        seconds: at least so much running time of each variant.
        batch: samples at once; None: as the variant was built for.
        streams: runs at once, for the throughput; the latencies are of one.
        profile: also what the runtime runs, by its own profiler.
        plugins: backends of the user's own that may be opened; see ``bundle.read``.
        max_memory_gb: that a variant's process may take on this machine; else as for ``edgekd.verify``.
        max_seconds: that it may take for all; else 10 min and 20 times ``seconds``, of which ``verify``'s 45 s may pass
            without a run that ends: a slow net is timed a hundred times.
    """

    seconds: float = 1.0
    batch: int | None = None
    streams: int = 1
    profile: bool = False
    plugins: tuple[str, ...] = ()
    max_memory_gb: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        limits.finite(self.seconds, "seconds")

    def limits(self, folder: Path) -> Limits:
        """Of the processes that open a bundle."""
        most = child_limits.of(folder, self.max_memory_gb, self.max_seconds)
        if self.max_seconds is not None:
            return most
        whole = SECONDS + 20 * self.seconds * self.streams
        return replace(most, seconds=whole, cpu=most.cpu / most.seconds * whole * self.streams)


def bench(
    path: str | Path,
    target: str | None = None,
    seconds: float = 1.0,
    device: str = "local",
    *,
    settings: Settings | None = None,
    tell: remote.Tell = lambda line: None,
) -> DeviceResult:
    """Time the variants of a bundle on its golden inputs.

    Args:
        target: only this variant.
        seconds: at least so much running time of each; ``settings`` say more.
        device: ``local``, ``ssh://[user@]host[:port]``, ``adb:SERIAL``, ``folder:PATH``, or a name in devices.toml.
            Variants that were measured there before the connection was cut are not measured again.
        tell: called with a line for whatever takes long on another machine.

    Returns:
        ``{"bundle", "device", "host", "variants": {target: {"latency_ms", "bounds_ms", "samples", "throughput",
        "runtime", "size_bytes", "cold", "stable", "note", "conditions", ...} or {"skipped": why}}}``. One process a
        runtime: variants are *not* interleaved with each other, and the figures of two variants are no ratio.

    Raises:
        UsageError: no such variant or device. IntegrityError: a damaged bundle.
        DeviceError: the device can't be reached, or the connection was cut; says why.
    """
    how = settings or Settings(seconds)
    folder = folder_of(path)
    return steadily(folder, lambda: _bench(folder, target, device, how, tell))


def _bench(path: Path, target: str | None, device: str, how: Settings, tell: remote.Tell) -> DeviceResult:
    bundle = bundles.read(path, how.plugins)
    names = [variant.target for variant in bundle.variants]
    if target is not None and target not in names:
        raise UsageError("no such variant in this bundle", where=str(path), found=target, allowed=names)
    wanted = [variant for variant in bundle.variants if target in (None, variant.target)]
    result: DeviceResult = {"bundle": bundle.name, "device": device, "host": None, "variants": {}}
    with runners.opened(device, tell) as run, kept.results(device, bundle.hashes, asdict(how)) as before:
        for variant in wanted:
            if variant.target not in before:
                before[variant.target] = _one(bundle, variant, how, run)
            row = before[variant.target]
            if "skipped" not in row:
                result["host"] = row["host"]
            result["variants"][variant.target] = _without_host(row)
    return result


def job_of(bundle: Bundle, variant: Variant, how: Settings) -> BenchJob:
    """A variant on its golden inputs, again and again until they fill the batch."""
    golden, batch = bundle.golden_of(variant)[0], how.batch or variant.batch
    return BenchJob(
        variant.backend,
        {"this": bundle.files_of(variant)},
        "this",
        batches.filled(golden, batch, f"{bundle.folder}: {variant.target}"),
        options=variant.options,
        batch=batch,
        min_seconds=how.seconds,
        where=variant.target,
        isa=tuple(variant.isa),
        streams=how.streams,
        profile=how.profile,
        limits=how.limits(bundle.folder),
    )


def _without_host(row: Skipped | Row) -> Skipped | documents.Variant:
    """A row as it is printed: the machine stands once, beside all of them."""
    if "skipped" in row:
        return row
    return cast(documents.Variant, {key: value for key, value in row.items() if key != "host"})


def _one(bundle: Bundle, variant: Variant, how: Settings, run: Runner) -> Skipped | Row:
    job = job_of(bundle, variant, how)
    try:
        # Where the user asked for another batch or for streams, it may be that what does not fit.
        with contextlib.nullcontext() if how.batch or how.streams > 1 else in_bundle():
            timed = run.bench(job)
            first = run.cold(replace(job, min_seconds=0.0))
    except DeviceError:
        raise
    except UnavailableError as err:
        return {"skipped": str(err)}
    samples, batch = timed.samples["this"], job.batch or 1
    summary = benching.summary(samples)
    note = "; ".join(filter(None, [timed.note, _moved(bundle, variant, how, timed, summary["p50"])])) or None
    bounds = {name: statistics.early_stopping(samples, share) for name, share in BOUNDS.items()}
    rate = timed.rate if timed.rate is not None else 1e3 / summary["p50"]
    joules = timed.conditions.joules
    row: Row = {
        "host": timed.host,
        "numerics": variant.numerics,
        "runtime": timed.runtime,
        "batch": batch,
        "streams": how.streams,
        "latency_ms": summary,
        "parts_ms": None if timed.parts is None else dict(timed.parts),
        "bounds_ms": {name: None if bound is None else bound / 1e6 for name, bound in bounds.items()},
        "throughput": batch * rate,
        "samples": len(samples),
        "size_bytes": sum(map(len, job.candidates["this"].values())),
        "cold": first,
        "joules_per_run": None if joules is None else joules / timed.conditions.seconds * summary["mean"] / 1e3,
        "stable": note is None,
        "note": note,
        "conditions": timed.conditions.table,
    }
    if timed.kernels is not None:
        row["kernels"] = list(timed.kernels)
    return row


def _moved(bundle: Bundle, variant: Variant, how: Settings, timed: BenchResult, p50_ms: float) -> str | None:
    """What the build found here, where that is more than 15 % away; None where it is not, or was found elsewhere."""
    built = bundle.report.get("host")
    build_ms = p50(bundle, variant)
    here = isinstance(built, dict) and built.get("cpu") == timed.host.get("cpu")
    alike = here and how.batch in (None, variant.batch) and math.isfinite(build_ms)
    if not alike or not statistics.far_apart([build_ms, p50_ms]):
        return None
    return f"the build found a p50 of {units.in_ms(build_ms)} on this CPU, now it is {units.in_ms(p50_ms)}"
