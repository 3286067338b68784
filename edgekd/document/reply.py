"""What comes back from a process or a device that was asked: its answers, and the errors that it tells."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from edgekd.document.rules import Count


class Failure(TypedDict):
    """``error.json``: ``EdgekdError.as_dict``; ``shown`` where what was found is no text or number."""

    kind: str
    message: str
    where: NotRequired[str | None]
    found: NotRequired[str | bool | int | float | None]
    shown: NotRequired[str]
    allowed: NotRequired[str | list[str] | None]
    hint: NotRequired[str | None]


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
