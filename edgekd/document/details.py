"""``details`` of report.json: what its page draws beyond the contract."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from edgekd.document.rules import Count, Interval, Length, NotNegative, Number, Positive, Share, Some


class Epoch(TypedDict):
    """One epoch of a training."""

    epoch: Count
    loss: NotRequired[Number | None]
    losses: NotRequired[dict[str, Number | None] | None]
    lr: NotRequired[Number | None]
    samples_per_s: NotRequired[NotNegative | None]
    validation: NotRequired[Number | None]
    seconds: NotRequired[NotNegative | None]


class ByClass(TypedDict):
    """Teacher and student, class by class: a value a class; teacher x student; those they part on most."""

    classes: Annotated[list[str | int], Some()]
    teacher: list[Share | None]
    student: list[Share | None]
    agree: list[Share | None]
    samples: NotRequired[list[Count] | None]
    pairs: NotRequired[list[Annotated[list[Count], Length(3)]] | None]
    confusion: NotRequired[list[list[Count]] | None]


class Agreement(ByClass):
    """Of the first head of classes, and under ``others`` of the other such heads."""

    head: NotRequired[str | None]
    others: NotRequired[dict[str, ByClass] | None]


class Bin(TypedDict):
    """Answers of about one confidence; the means of none are null."""

    low: NotRequired[Share]
    high: NotRequired[Share]
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
    pairs: list[Annotated[list[Count], Length(2)]]
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
    kind: NotRequired[str]
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
        "size_bytes": Count,
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
