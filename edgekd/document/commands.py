"""What ``edgekd plan``, ``verify``, ``inspect``, ``targets``, ``doctor`` and ``cache`` print with ``--json``."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict, final

from edgekd.document.machine import Machine
from edgekd.document.rules import Count, NotNegative, closed


class PlanStep(TypedDict):
    """A step of a build: its depth in the tree, what training it costs, and whether the cache holds its result.

    ``seconds``: null before the rehearsal. In words: ``taken``, what a compression pass takes; ``outputs``, what is
    kept of a teacher's answers.
    """

    name: str
    depth: Count
    key: str
    targets: list[str]
    epochs: Count
    samples: Count
    seconds: NotNegative | None
    cached: bool
    taken: NotRequired[str]
    outputs: NotRequired[str]


class Plan(TypedDict):
    """``edgekd plan``."""

    name: str
    targets: list[str]
    identity: str
    steps: list[PlanStep]


@final
@closed
class Passed(TypedDict):
    """A check of ``edgekd verify`` that a bundle passed; what fails is an error."""

    check: str
    ok: Literal[True]


@final
@closed
class NotChecked(TypedDict):
    """A check that could not be made here, and why."""

    check: str
    skipped: str


Check = Passed | NotChecked


class Operator(TypedDict):
    """An operator of a model file: how many there are and how many of them are quantized; null where nobody tells."""

    op: str
    count: Count | None
    quantized: Count | None


class ModelFile(TypedDict):
    """A model file; ``bytes``: of all files that the runtime opens."""

    file: str
    bytes: Count
    ops: list[Operator]


@closed
class Inspection(TypedDict):
    """``edgekd inspect``; ``about``: what the manifest says, empty of a lone file."""

    path: str
    about: dict[str, str | bool]
    models: list[ModelFile]


class TargetRow(TypedDict):
    """A line of ``edgekd targets``; ``reason``: why this machine can't run it."""

    name: str
    backend: str
    numerics: list[str]
    available: bool
    reason: str | None
    description: str


class Doctor(TypedDict):
    """``edgekd doctor``; ``missing``: distributions that a build would need."""

    host: Machine
    problems: list[str]
    missing: list[str]


class Cache(TypedDict):
    """``edgekd cache``."""

    path: str
    artifacts: Count
    bytes: Count
    freed_bytes: Count
