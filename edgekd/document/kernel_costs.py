"""``edgekd inspect --kernels``: what runs of a model file, in which precision, and what each part costs."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from edgekd.document.kernel import KernelTable
from edgekd.document.rules import Bytes, Count, Interval, NotNegative, Number, Positive, Some, closed

Work = Literal["int8", "float", "conversion", "layout", "other"]


@closed
class ProfiledFile(TypedDict):
    """A model file as a runtime ran it; ``p50_ms``: of whole runs without the profiler, copies in and out included."""

    file: str
    bytes: Bytes
    p50_ms: Positive
    kernels: list[KernelTable]


@closed
class Profiled(TypedDict):
    """What the child answers: one file, or two in turns. ``ratio``: the first's p50 over the second's.

    ``inputs``: the shapes that it ran on; ``rounds``: how often each file was compiled and profiled, in turns.
    """

    backend: str
    runtime: str
    threads: Count | None
    inputs: dict[str, list[Count]]
    rounds: Count
    files: Annotated[list[ProfiledFile], Some()]
    ratio: Positive | None
    ci95: Interval | None
    note: str | None


class KernelCost(TypedDict):
    """A kernel in execution order.

    ``layer``: the node of the model file, or the runtime's own name; ``reads`` and ``gives``: types of its first input
    and output, "" where they are not told; ``share``: of all kernels' microseconds; ``work``: what it is there for.
    """

    layer: str
    op: str
    reads: str
    gives: str
    shape: list[Count | None]
    microseconds: NotNegative
    share: NotNegative
    work: Work


class BesideKernel(TypedDict):
    """A kernel that does the same in another file; ``difference``: how many microseconds less it takes there."""

    layer: str
    op: str
    reads: str
    gives: str
    microseconds: NotNegative
    difference: Number


class OperatorCost(TypedDict):
    """All kernels of one operator in one precision."""

    op: str
    precision: str
    work: Work
    count: Count
    microseconds: NotNegative
    share: NotNegative


class WorkCost(TypedDict):
    """All kernels that are there for one thing."""

    count: Count
    microseconds: NotNegative
    share: NotNegative


class FileCosts(TypedDict):
    """A file's kernels, and their sums by operator (the costliest first) and by what they are there for."""

    file: str
    bytes: Bytes
    p50_ms: Positive
    microseconds: NotNegative
    work: dict[str, WorkCost]
    operators: list[OperatorCost]
    kernels: list[KernelCost]


class OperatorDifference(TypedDict):
    """An operator in one precision in both files; ``difference``: microseconds that it takes more in the first."""

    op: str
    precision: str
    count: Count
    microseconds: NotNegative
    count_beside: Count
    microseconds_beside: NotNegative
    difference: Number


class BesideCosts(TypedDict):
    """Another file of the same net, measured in turns.

    ``ratio``: p50 of the first over that of this one; ``kernels``: for each kernel of the first the one that does the
    same here, null where there is none.
    """

    costs: FileCosts
    kernels: list[BesideKernel | None]
    ratio: Positive
    ci95: Interval
    differences: list[OperatorDifference]


class KernelReport(TypedDict):
    """One model file; ``target``: of the bundle's variant that it is, null of a lone file."""

    target: str | None
    backend: str
    runtime: str
    threads: Count | None
    inputs: dict[str, list[Count]]
    rounds: Count
    note: str | None
    costs: FileCosts
    beside: NotRequired[BesideCosts]


class KernelInspection(TypedDict):
    """``edgekd inspect --kernels``."""

    path: str
    models: list[KernelReport]
