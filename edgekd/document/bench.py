"""What a process leaves that measured (``result.json``, ``cold.json``), and what is kept of a device's results."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from edgekd.document.machine import Machine
from edgekd.document.rules import Count, Nanoseconds, NotNegative, Number, Positive, Some, closed


class Conditions(TypedDict):
    """``conditions.Conditions``."""

    others: NotNegative | None
    stolen: Number | None
    celsius: tuple[Number, Number] | None
    megahertz: tuple[NotNegative, NotNegative] | None
    joules: NotNegative | None
    seconds: NotNegative


@closed
class Kernel(TypedDict):
    """``document.kernel.Kernel`` in JSON."""

    name: str
    op: str
    precision: str
    microseconds: NotNegative | None
    layers: list[str]


class Result(TypedDict):
    """``result.json``, a ``bench.BenchResult``; samples in nanoseconds, by candidate."""

    samples: Annotated[dict[str, Annotated[list[Nanoseconds], Some()]], Some()]
    runtime: str
    host: Machine
    conditions: Conditions
    note: str | None
    rate: Positive | None
    kernels: list[Kernel] | None
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


class Row(TypedDict):
    """One variant in a result of ``runtime.local.bench``."""

    host: Machine
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
    kernels: NotRequired[list[Kernel]]


class Skipped(TypedDict):
    """A variant that a device can't run."""

    skipped: str


Kept = dict[str, Skipped | Row]  # by variant
