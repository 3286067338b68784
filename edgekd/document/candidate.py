"""A candidate in report.json: a file that was measured on a target."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from edgekd.document.kernel_costs import KernelCost
from edgekd.document.mixed import Mixed
from edgekd.document.rules import Bytes, Count, Interval, NotNegative, Number, Positive


class Latency(TypedDict):
    """Milliseconds of one batch: percentiles, mean, and the extremes."""

    p50: Positive
    p90: Positive
    p99: Positive
    mean: Positive
    min: NotNegative
    max: Positive


class Speedup(TypedDict):
    """Times as fast as dense fp32."""

    p50: Positive
    ci95: Interval


class Fallback(TypedDict):
    """A layer of the ONNX file that was to run in int8 and ran in float, in which kernel, and why."""

    layer: str
    kernel: str
    why: str


class Kernels(TypedDict):
    """What a runtime ran of a candidate.

    ``layers``: by kind of layer how many the scheme ``wanted`` in int8, and how many ran in ``int8``, in ``float``, or
    ``untold``; ``microseconds``: by kind of kernel; ``ops``: how many kernels of each of the runtime's operators;
    ``rows``: kernel by kernel, in execution order.
    """

    layers: NotRequired[dict[str, dict[str, Count]]]
    fell_back: NotRequired[list[Fallback]]
    microseconds: dict[str, NotNegative]
    ops: NotRequired[dict[str, Count]]
    rows: NotRequired[list[KernelCost]]


class Candidate(TypedDict):
    """A file that was measured on a target.

    Values are in the metric's own unit; ``throughput``: samples a second; ``samples``: runs that were timed;
    ``sessions_p50_ms``: of each process that timed it; ``verdict``: why it ships or not; ``outside``: of the budget;
    ``mixed``: which parts of an int8 file were tried in float, missing where none were; ``cosine``: of vectors, the
    mean to the float file's on validation.
    """

    name: str
    numerics: str
    pruned: bool
    size_bytes: Bytes
    value_validation: Number
    value_test: Number
    latency_ms: Latency
    throughput: Positive
    samples: Count
    speedup_vs_fp32: Speedup
    verdict: NotRequired[str]
    outside: NotRequired[bool]
    kernels: NotRequired[Kernels | None]
    scored: NotRequired[dict[str, Count]]
    sessions_p50_ms: NotRequired[list[Positive]]
    value_ci95: NotRequired[list[Number]]
    drop_ci95: NotRequired[list[Number]]
    mixed: NotRequired[Mixed]
    cosine: NotRequired[Number]
