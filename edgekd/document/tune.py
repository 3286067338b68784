"""``tune.json``, schema version 1: what a search found; and what its storage says about each trial."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from edgekd.document.rules import Bytes, Count, NotNegative, Number, Positive, Spelled, closed


class Budget(TypedDict):
    """What was wished; null: nothing."""

    max_drop: Number | None
    max_latency_ms: Positive | None
    max_size_kb: Positive | None
    max_size_share: Number | None
    min_cosine: NotRequired[Number | None]


class Ships(TypedDict):
    """What would ship on a target."""

    candidate: str
    value: Number
    drop: NotRequired[Number]
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


@closed
class Kept(Result):
    """A result as the storage has it."""

    number: Count


@closed
class Shape(TypedDict):
    """A candidate before anything trains."""

    latency_ms: Positive
    size_bytes: Bytes


class Attributes(TypedDict):
    """What a storage says about a trial, beside what Optuna itself keeps."""

    worker: NotRequired[Annotated[str, Spelled(r".*:[0-9]{1,9}:[0-9]*", "machine:pid:start")]]
    beat: NotRequired[Count]
    as_is: NotRequired[bool]
    again: NotRequired[Count]
    point: NotRequired[dict[str, object]]
    likeness: NotRequired[str]
    shapes: NotRequired[dict[str, dict[str, Shape]]]
    shape: NotRequired[Shape]
    rung: NotRequired[Number]
    result: NotRequired[Kept]
    why: NotRequired[str]
    seconds: NotRequired[NotNegative]


class Evaluated(TypedDict):
    """What it must say about one that was evaluated."""

    point: dict[str, object]
    result: Kept


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
    """The file; ``recipe_sha256``: of the recipe beside it as it was written, so that one that was edited is seen."""

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
    recipe_sha256: NotRequired[str]
    trials: list[Trial]
