"""``edgekd bench --json``, and what a process leaves that measured: ``result.json``, ``cold.json``."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict, final

from edgekd.document.kernel import KernelTable
from edgekd.document.machine import Machine
from edgekd.document.rules import Count, Interval, Length, Nanoseconds, NotNegative, Number, Positive, Some


class Conditions(TypedDict):
    """What went on meanwhile; null where the system does not tell.

    Attributes:
        others: CPUs that other processes used on average.
        stolen: share of the machine's time that its hypervisor gave to others, 0..1.
        celsius: the hottest sensor before and after; ``megahertz``: the first CPU's clock, likewise.
        joules: what the CPU packages used, whoever used it.
        seconds: how long all this was watched.
    """

    others: NotNegative | None
    stolen: Number | None
    celsius: Interval | None
    megahertz: Annotated[list[NotNegative], Length(2)] | None
    joules: NotNegative | None
    seconds: NotNegative


class Result(TypedDict):
    """``result.json``, a ``bench.BenchResult``; samples in nanoseconds, by candidate."""

    samples: Annotated[dict[str, Annotated[list[Nanoseconds], Some()]], Some()]
    runtime: str
    host: Machine
    conditions: Conditions
    note: str | None
    rate: Positive | None
    kernels: list[KernelTable] | None
    parts: dict[str, NotNegative] | None


class Cold(TypedDict):
    """``cold.json``: milliseconds and bytes of a model's first second."""

    start_ms: NotNegative
    open_ms: NotNegative
    first_ms: NotNegative
    second_ms: NotNegative
    peak_memory_bytes: Count | None
    model_memory_bytes: Number | None


class Latency(TypedDict):
    """``bench.summary``, in milliseconds."""

    p50: Positive
    p90: Positive
    p95: Positive
    p99: Positive
    mean: Positive
    std: NotNegative
    min: NotNegative
    max: Positive


class Variant(TypedDict):
    """A variant that was measured.

    Attributes:
        batch: samples at once.
        streams: runs at once, for ``throughput``, which is in samples a second; the latencies are of one.
        bounds_ms: confident upper bounds of ``p90`` and ``p99``; null where the samples are too few.
        parts_ms: medians of the parts of a run, where the session tells them apart.
        stable: whether nothing is doubted; ``note`` says what is.
    """

    numerics: str
    runtime: str
    batch: Count
    streams: Count
    latency_ms: Latency
    parts_ms: dict[str, NotNegative] | None
    bounds_ms: dict[str, Positive | None]
    throughput: Positive
    samples: Count
    size_bytes: Count
    cold: Cold
    joules_per_run: NotNegative | None
    stable: bool
    note: str | None
    conditions: Conditions
    kernels: NotRequired[list[KernelTable]]


class Row(Variant):
    """The same as it is kept of a device's results, with the machine."""

    host: Machine


@final
class Skipped(TypedDict):
    """A variant that a device can't run, and why."""

    skipped: str


Kept = dict[str, Skipped | Row]  # by variant


class DeviceResult(TypedDict):
    """What ``edgekd bench --json`` prints of one device, by variant; ``host`` is null where all are skipped."""

    bundle: str
    device: str
    host: Machine | None
    variants: dict[str, Skipped | Variant]


class DeviceResults(TypedDict):
    """Of several devices."""

    devices: list[DeviceResult]


class Compared(TypedDict):
    """One of two bundles that were timed in turns."""

    bundle: str
    target: str
    numerics: str
    latency_ms: Latency
    size_bytes: Count


class Comparison(TypedDict):
    """What ``edgekd bench --compare`` prints: ``ratio`` is the p50 of a over that of b."""

    device: str
    host: Machine
    runtime: str
    a: Compared
    b: Compared
    ratio: Positive
    ci95: Interval
    samples: Count
    stable: bool
    note: str | None


Bench = DeviceResult | DeviceResults | Comparison
