"""What the cache holds as JSON: measurements, rehearsals, the plain baseline, sizes, shapes of answers."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from edgekd.document.details import Epoch
from edgekd.document.kernel import KernelTable
from edgekd.document.machine import Host
from edgekd.document.rules import Bytes, Count, Nanoseconds, NotNegative, Number, Positive, Some, closed


class Batch(TypedDict):
    """What a file says in another batch; ``relative``: see ``runtime.parity.Parity``."""

    max_abs_diff: NotNegative | None
    mean: Number | None
    relative: NotNegative | None
    mean_relative: NotNegative | None
    clearly_differs: NotNegative | None


class Compared(TypedDict):
    """A file's scores against a reference."""

    argmax_agreement: Number | None
    max_abs_diff: NotNegative | None
    samples: Count
    mean: Number | None
    relative: NotNegative | None
    mean_relative: NotNegative | None
    clearly_differs: NotNegative | None
    batches: dict[str, Batch]


class OnAnother(Compared):
    """The same file on another backend."""

    runtime: str
    value_validation: Number


@closed
class Candidate(TypedDict):
    """A file that was measured; ``cosine``, ``cuts``: see ``MeasuredCandidate``."""

    value_validation: Number
    value_ci95: list[Number]
    drop_ci95: list[Number]
    parity: Compared
    also: dict[str, OnAnother]
    kernels: NotRequired[list[KernelTable] | None]
    cosine: NotRequired[Number]
    cuts: NotRequired[list[Number]]
    samples_ns: Annotated[list[Nanoseconds], Some()]
    sessions_p50_ms: list[Positive]


class Measured(TypedDict):
    """``measured.json``: the candidates of a target."""

    candidates: Annotated[dict[str, Candidate], Some()]
    host: Host
    length: Count | None
    preprocess_ms: NotNegative
    seconds: NotNegative


class Rehearsed(TypedDict):
    """``rehearsal.json``."""

    seconds_per_sample: dict[str, NotNegative]
    latency_ms: dict[str, dict[str, Positive]]
    size_bytes: dict[str, dict[str, Bytes]]
    notes: NotRequired[list[str]]
    taken: NotRequired[dict[str, str]]


class Record(TypedDict):
    """What a student was made of, or a pass that changed it; other keys are the pass's own."""

    kind: str
    table: NotRequired[dict[str, object]]


class Trained(TypedDict):
    """``student.json`` of a trained step: what it was made of, and its training."""

    lineage: Annotated[list[Record], Some()]
    history: list[Epoch]
    seconds: NotNegative
