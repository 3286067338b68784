"""``tune.json``, schema version 1: what a search found."""

from __future__ import annotations

from typing import Literal, TypedDict

from edgekd.document.rules import Bytes, Count, NotNegative, Number, Positive


class Budget(TypedDict):
    """What was wished; null: nothing."""

    max_drop: Number | None
    max_latency_ms: Positive | None
    max_size_kb: Positive | None
    max_size_share: Number | None


class Ships(TypedDict):
    """What would ship on a target."""

    candidate: str
    value: Number
    p50_ms: Positive
    size_bytes: Bytes
    reason: str


class Result(TypedDict):
    """What a trial came to, over all targets."""

    value: Number
    p50_ms: Positive
    size_bytes: Bytes
    drop: Number
    missed: dict[str, Number]
    gate: str
    targets: dict[str, Ships]


class Trial(TypedDict):
    """One trial; without a result it was stopped before."""

    number: Count
    state: str
    why: str
    as_is: bool
    again: object
    values: dict[str, object]
    likeness: object
    shapes: object
    rung: Number | None
    result: Result | None
    seconds: NotNegative | None
    worker: object


class Tune(TypedDict):
    """The file."""

    schema_version: Literal[1]
    name: str
    metric: str
    targets: list[str]
    budget: Budget
    prefer: str
    quick: bool
    ended: str
    met: bool
    chosen: Count | None
    nearest: Count | None
    front: list[Count]
    bundle: str | None
    recipe: str
    seconds: NotNegative
    study: str
    space: dict[str, object]
    trials: list[Trial]
