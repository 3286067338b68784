"""``report.json`` of a bundle, schema version 1; keys that came after 0.1 may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NotRequired, TypedDict

from edgekd.document.machine import Host
from edgekd.document.rules import Bytes, Count, Keys, NotNegative, Number, Positive, Share, Some

Interval = tuple[Number, Number]


class Stage(TypedDict):
    """A trained step."""

    name: str
    target: str | None
    params: Count
    size_bytes: Bytes
    value_validation: Number
    value_test: Number
    seconds: NotNegative


class Latency(TypedDict):
    """Milliseconds of one run."""

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


class Kernels(TypedDict):
    """What a runtime ran of a candidate."""

    microseconds: dict[str, NotNegative]


class Candidate(TypedDict):
    """A file that was measured on a target."""

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


class Parity(TypedDict):
    """A file against the network that it came from."""

    argmax_agreement: Share | None
    max_abs_diff: NotNegative | None
    samples: Count


class Wanted(TypedDict):
    """A budget's wishes."""

    max_drop: NotRequired[Number | None]
    max_latency_ms: NotRequired[Positive | None]
    max_size_kb: NotRequired[Positive | None]
    max_size_share: NotRequired[Number | None]
    prefer: NotRequired[str]


class Got(TypedDict):
    """What became of a budget's wishes."""

    drop: NotRequired[Number | None]
    drop_ci95: NotRequired[list[Number] | None]
    latency_ms: NotRequired[Positive | None]
    size_kb: NotRequired[Positive | None]


class Budget(TypedDict):
    """Wishes and what was got."""

    wanted: NotRequired[Wanted | None]
    got: NotRequired[Got | None]
    met: bool


class Target(TypedDict):
    """One target; ``shipped`` is null where nothing ships."""

    shipped: str | None
    reason: str
    candidates: Annotated[list[Candidate], Some()]
    parity: Parity
    budget: Budget
    runtime: NotRequired[str | None]
    description: NotRequired[str]
    timed_length: NotRequired[Count]
    preprocess_ms: NotRequired[NotNegative]


class Epoch(TypedDict):
    """One epoch of a training."""

    epoch: Count
    loss: NotRequired[Number | None]
    losses: NotRequired[dict[str, Number | None] | None]
    lr: NotRequired[Number | None]
    validation: NotRequired[Number | None]
    seconds: NotRequired[NotNegative | None]


class ByClass(TypedDict):
    """Teacher and student, class by class: a value a class; teacher x student; those they part on most."""

    classes: Annotated[list[str | int], Some()]
    teacher: list[Share | None]
    student: list[Share | None]
    agree: list[Share | None]
    samples: NotRequired[list[Count] | None]
    pairs: NotRequired[list[tuple[Count, Count, Count]] | None]
    confusion: NotRequired[list[list[Count]] | None]


class Agreement(ByClass):
    """The first head's, and under ``others`` those of the others."""

    head: NotRequired[str | None]
    others: NotRequired[dict[str, ByClass] | None]


class Bin(TypedDict):
    """Answers of about one confidence; the means of none are null."""

    count: Count
    confidence: Share | None
    accuracy: Share | None


class Sure(TypedDict):
    """How sure a net is, and how often right."""

    ece: Number
    confidence: Share
    accuracy: Share
    nll: Number
    bins: list[Bin]


class Calibration(TypedDict):
    """Of one head."""

    head: str | None
    teacher: Sure
    student: Sure


class Layers(TypedDict):
    """How alike the layers of student (rows) and teacher (columns) are."""

    step: str
    samples: Count
    student: list[str]
    teacher: list[str]
    pairs: list[tuple[Count, Count]]
    cka: list[list[Number | None]]


class Loss(TypedDict):
    """A training without one loss; all null where it diverged."""

    loss: str
    validation: Number | None
    test: Number | None
    gain: Number | None
    ci95: Interval | None


class Losses(TypedDict):
    """What each loss is worth."""

    seed: int
    draws: Count
    validation: Number
    test: Number
    rows: list[Loss]


class Who(TypedDict):
    """The student that was looked at."""

    target: str | None
    candidate: str | None
    step: str


class Apart(TypedDict):
    """A test sample that teacher and student part on."""

    sample: Count
    divergence: Number


class Learned(TypedDict):
    """What the student learned."""

    student: Who
    agreement: Share | None
    calibration: NotRequired[list[Calibration] | None]
    layers: NotRequired[Layers | None]
    unit: Literal["bit", ""]
    apart: list[Apart]
    losses: NotRequired[Losses | None]


class Kept(TypedDict):
    """What is kept of the teachers' answers."""

    views: Count
    samples: Count
    memory_bytes: Count
    disk_bytes: Count
    anew: list[str]


class Baseline(TypedDict):
    """A plain model beside teacher and student."""

    kind: str
    samples: Count
    value_validation: Number
    value_test: Number
    size_bytes: Count
    p50_ms: NotNegative
    told: NotRequired[str | None]


class Group(TypedDict):
    """What a pass took of some layers."""

    asked: Number | None
    before: Number | None
    kept: Number | None


class Taken(TypedDict):
    """What a pass took."""

    step: str
    asked: NotRequired[Number | None]
    taken: Number
    unit: str
    groups: dict[str, Group] | None
    whole: NotRequired[dict[str, str] | None]


Row = TypedDict(
    "Row",
    {
        "stage": str,
        "from": str | None,
        "on_the_way": bool,
        "ships": bool,
        "value_validation": Number,
        "value_test": Number,
        "size_bytes": Bytes,
        "p50_ms": Positive | None,
        "delta_validation": Number | None,
        "delta_test": Number | None,
        "size_factor": Positive | None,
        "p50_factor": Positive | None,
    },
)


class Details(TypedDict):
    """What the page draws beyond the contract."""

    history: NotRequired[dict[str, list[Epoch]] | None]
    validated: NotRequired[dict[str, str] | None]
    agreement: NotRequired[Agreement | None]
    learned: NotRequired[Learned | None]
    kept: NotRequired[Kept | None]
    notes: NotRequired[list[str]]
    baseline: NotRequired[Baseline | None]
    compression: NotRequired[list[Taken] | None]
    recipe: NotRequired[dict[str, object] | None]
    attribution: NotRequired[dict[str, Annotated[list[Row], Some()]] | None]


class Report(TypedDict):
    """The file."""

    schema_version: Literal[1]
    name: str
    task: str
    metric: str
    metric_is_share: NotRequired[bool]
    classifies: NotRequired[bool]
    seed: int
    split_sizes: Annotated[dict[str, Count], Keys(("train", "validation", "test"))]
    host: Host
    shippable: bool
    stages: Annotated[list[Stage], Some()]
    targets: Annotated[dict[str, Target], Some()]
    details: NotRequired[Details]


def contradictions(report: Report) -> Iterator[tuple[str, str]]:
    """Places whose parts do not fit each other, and what they must be; none in what a build writes."""
    details = report.get("details") or {}
    if (agreement := details.get("agreement")) is not None:
        yield from _by_class(agreement, "details.agreement")
        for name, other in (agreement.get("others") or {}).items():
            yield from _by_class(other, f"details.agreement.others.{name}")
    learned = details.get("learned")
    if learned is None:
        return
    for i, head in enumerate(learned.get("calibration") or []):
        for name, net in (("teacher", head["teacher"]), ("student", head["student"])):
            filled = [b for b in net["bins"] if b["count"]]
            if not filled or any(b["confidence"] is None or b["accuracy"] is None for b in filled):
                yield f"details.learned.calibration[{i}].{name}.bins", "some with answers, and of those their means"
    layers, losses = learned.get("layers"), learned.get("losses")
    if layers and [len(row) for row in layers["cka"]] != [len(layers["teacher"])] * len(layers["student"]):
        yield "details.learned.layers.cka", "a row for each layer of the student, a column for each of the teacher"
    for i, row in enumerate(losses["rows"] if losses else []):
        if row["ci95"] is not None and row["gain"] is None:
            yield f"details.learned.losses.rows[{i}].gain", "a number, where its interval is known"


def _by_class(found: ByClass, place: str) -> Iterator[tuple[str, str]]:
    count = len(found["classes"])
    lengths = {"teacher": len(found["teacher"]), "student": len(found["student"]), "agree": len(found["agree"])}
    lengths["samples"] = len(found.get("samples") or found["agree"])
    for name, length in lengths.items():
        if length != count:
            yield f"{place}.{name}", f"one for each of {count} classes"
    if any(max(pair[:2]) >= count for pair in found.get("pairs") or []):
        yield f"{place}.pairs", f"classes, 0 to {count - 1}"
    confusion = found.get("confusion")
    if confusion is not None and [len(row) for row in confusion] != [count] * count:
        yield f"{place}.confusion", f"{count} rows of {count}"
