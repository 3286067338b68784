"""What is told of a machine: by a device when it is asked (``host.json``), with each result, and in report.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from edgekd.document.rules import Count, NotNegative, Number


class Machine(TypedDict):
    """``host.facts()``; null where the system does not tell."""

    cpu: str
    arch: str
    isa: list[str]
    cores: Count
    governor: str | None
    celsius: Number | None
    load: list[NotNegative] | None
    memory_bytes: Count | None
    gpu: str | None
    python: str
    os: str
    versions: dict[str, str]


class Key(TypedDict):
    """``host.measured_key()``: what the key of a measurement holds."""

    cpu: str
    isa: list[str]
    gpu: str | None
    threads: Count
    versions: dict[str, str]


class Told(TypedDict):
    """``host.json``."""

    facts: Machine
    key: Key


class Host(TypedDict):
    """``host`` of report.json: the facts of any version of edgekd, and what others did meanwhile."""

    cpu: NotRequired[str | None]
    arch: NotRequired[str | None]
    isa: NotRequired[list[str] | None]
    cores: NotRequired[Count | None]
    governor: NotRequired[str | None]
    celsius: NotRequired[Number | None]
    load: NotRequired[list[NotNegative] | None]
    memory_bytes: NotRequired[Count | None]
    gpu: NotRequired[str | None]
    python: NotRequired[str | None]
    os: NotRequired[str | None]
    versions: NotRequired[dict[str, str | None] | None]
    others: NotRequired[NotNegative | None]
    note: NotRequired[str | None]
