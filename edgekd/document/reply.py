"""What comes back from a process or a device that was asked: its answers, and the errors that it tells."""

from __future__ import annotations

from typing import Literal, TypedDict

from edgekd.document import machine
from edgekd.document.rules import Count, NotNegative, closed


class Refused(TypedDict):
    """An agent's answer to what its machine refused."""

    error: str
    kind: str


class Alive(TypedDict):
    """A sign of life while something takes long."""

    alive: Literal[True]


class Hello(TypedDict):
    """Which machine an agent runs on: Python's version, whether it has numpy, and its disk's free bytes."""

    python: tuple[Count, Count, Count]
    numpy: bool
    machine: str
    free: Count
    cleared: Count


class Have(TypedDict):
    """What was put, by its SHA-256."""

    have: str


class Ended(TypedDict):
    """How a run ended: the program's exit code, the end of its stderr, the names of the files it made."""

    code: int
    stderr: str
    made: list[str]


class Bytes(TypedDict):
    """A file follows, of so many bytes."""

    bytes: Count


class Port(TypedDict):
    """An input or an output, as Node tells it; sizes that are free have names there, or are below 0."""

    name: str
    type: str
    shape: list[int | str | None]


class Opened(TypedDict):
    """What a session of Node reads and gives."""

    inputs: list[Port]
    outputs: list[Port]


class Tensor(TypedDict):
    """An array whose bytes follow."""

    name: str
    type: Literal["float32", "float16", "int64", "int32", "uint8", "int8"]
    dims: list[Count]
    bytes: Count


class Ran(TypedDict):
    """What a run gave, in so many nanoseconds."""

    ns: Count
    outputs: list[Tensor]


class Wrong(TypedDict):
    """What Node could not do."""

    error: str


class Measurer(TypedDict):
    """Who measures what is asked over a shared folder; ``beats`` grows while it lives."""

    edgekd: str
    worker: str
    beats: Count
    host: machine.Told


@closed
class Job(TypedDict):
    """What a process is asked to measure; the files that it names by their numbers stand beside it."""

    backend: str
    options: dict[str, object]
    options_of: dict[str, dict[str, object]]
    where: str
    batch: Count | None
    baseline: str
    candidates: dict[str, list[str]]
    inputs: list[str]
    min_samples: Count
    min_seconds: NotNegative
    isa: list[str]
    streams: Count
    profile: bool
