"""The exception tree. Every error carries the exit code that the command line returns for it.

::

    EdgekdError            1   a bug in edgekd, or the base of all
    ├── UsageError         2   the command, or an argument of the Python API
    │   ├── RecipeError    2   recipe.toml: key, type, range
    │   ├── TargetError    2   targets/*.toml: unknown or broken
    │   ├── DataError      2   the user's data
    │   ├── FactoryError   2   the user's Python code: not found, or it raised
    │   ├── ExportError    2   a model that can't be pruned, quantized or exported; names module and op
    │   └── OutputError    2   the output exists or can't be written
    ├── GateError          3   accuracy, latency, size or parity missed
    ├── DivergedError      3   training produced NaN or ran away
    ├── UnavailableError   4   a known target or runtime that this machine can't run
    │   └── DeviceError    4   another machine that can't be reached, or was lost on the way
    ├── IntegrityError     5   a bundle or artifact that is not what it says it is
    └── ResourceError      6   out of disk or memory

A message says where (file, key), what was found, what is allowed, and the nearest name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NotRequired, TypedDict

from edgekd.base.printable import printable


class EdgekdError(Exception):
    """Base of everything edgekd raises on purpose.

    Args:
        message: what is wrong, one sentence without a final full stop.
        where: file and key, such as ``"recipe.toml: losses[0].kind"``.
        found: what stood there; shown with ``repr`` (shortened).
        allowed: what may stand there: a sentence, or names (the nearest to ``found`` is suggested).
        hint: what to do next, such as a pip line.

    Attributes: the same, by name, as they were given; the text is made of them when it is asked for, and does nothing
        to a terminal, whatever a stranger wrote.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        found: object = None,
        allowed: str | Iterable[str] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.where, self.found, self.hint = message, where, found, hint
        self.allowed = allowed if isinstance(allowed, str | None) else sorted(str(name) for name in allowed)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.found is not None:
            parts.append(f"found {_shortened(self.found)}")
        if isinstance(self.allowed, str):
            parts.append(f"allowed: {self.allowed}")
        elif self.allowed is not None:
            parts.append(f"allowed: {', '.join(self.allowed) if self.allowed else 'none'}")
            near = difflib.get_close_matches(str(self.found)[:LONGEST], self.allowed, n=1, cutoff=0.5)
            if self.found is not None and near:
                parts.append(f"did you mean {near[0]!r}?")
        if self.hint:
            parts.append(self.hint)
        return printable("; ".join(parts))

    def put_in(self, file: str) -> None:
        """Name the file in front of the key, unless it is named."""
        if self.where is not None and not self.where.startswith(file):
            self.where = f"{file}: {self.where}"

    def as_dict(self) -> dict[str, object]:
        """What another process needs to raise it again (see ``from_dict``): JSON types alone.

        A user's own class goes as the nearest of edgekd's.
        """
        kind = next(name for name in (cls.__name__ for cls in type(self).__mro__) if name in KINDS)
        shown = _shortened(self.found)
        plain = type(self.found) in (str, bool, int, type(None)) and not shown.endswith("...")
        actual = {"found": self.found} if plain else {"shown": shown}
        fields = {"message": self.message, "where": self.where, "allowed": self.allowed, "hint": self.hint}
        return {key: _written(value) for key, value in {"kind": kind, **actual, **fields}.items()}


LONGEST = 120  # characters that are shown of what was found


class Shown(str):
    """What was found in another process, as it is shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _written(value: object) -> object:
    """Texts as Unicode: names of files may hold halves of characters."""
    if isinstance(value, list):
        return [_written(inner) for inner in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _shortened(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        text = f"a {type(value).__name__} that is too long to be shown"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


class UsageError(EdgekdError):
    """The command line or an argument of the Python API."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe that can't be used."""


class TargetError(UsageError):
    """A target that does not exist or is broken."""


class DataError(UsageError):
    """Data that can't be used."""


class FactoryError(UsageError):
    """The user's own Python code can't be found, or raised."""


class ExportError(UsageError):
    """A model that can't be pruned, quantized or exported as it is."""


class OutputError(UsageError):
    """The output exists already or can't be written."""


def out_of_memory(err: BaseException) -> bool:
    """Whether an error means that memory is out: Python's own, or torch's, which are RuntimeErrors."""
    text = str(err)
    return isinstance(err, MemoryError) or (
        isinstance(err, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)
    )


# Options of the command, and what they are called in Python.
_IN_PYTHON = {
    "--overwrite": "overwrite=True",
    "--quick": "quick=True",
    "--keep-candidates": "keep_candidates=True",
    "--explain": "explain=True",
    "--target": "targets",
    "--out": "out",
    "--cache": "cache",
}


@contextmanager
def in_python() -> Iterator[None]:
    """Errors speak of the arguments of a function, and not of a command's options."""
    try:
        yield
    except EdgekdError as err:
        err.message, err.where, err.hint = _spoken(err.message), _spoken(err.where), _spoken(err.hint)
        if isinstance(err.found, str):
            err.found = _spoken(err.found)
        err.allowed = _spoken(err.allowed) if isinstance(err.allowed, str | None) else [*map(_spoken, err.allowed)]
        raise


def _spoken(text: str | None) -> Any:
    """A text with the arguments of a function in place of a command's options."""
    for option, argument in _IN_PYTHON.items() if text else ():
        text = re.sub(rf"(?<![\w-]){option}(?![\w-])", argument, str(text))
    return text


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Errors in a recipe, its data or its factories name the file that they stand in."""
    try:
        yield
    except (RecipeError, DataError, FactoryError) as err:
        err.put_in(file)
        raise


@contextmanager
def in_bundle() -> Iterator[None]:
    """What a bundle says is no mistake of whoever uses it: errors of usage are the bundle's.

    Raises:
        IntegrityError: in place of a ``UsageError``, with its fields.
    """
    try:
        yield
    except UsageError as err:
        raise IntegrityError(err.message, where=err.where, found=err.found, allowed=err.allowed, hint=err.hint) from err


class GateError(EdgekdError):
    """A wish of the budget, or parity, was missed; nothing is published. ``report``: the build's report.json."""

    exit_code = 3
    report: Mapping[str, object] | None = None


class DivergedError(EdgekdError):
    """Training produced NaN or ran away."""

    exit_code = 3


class UnavailableError(EdgekdError):
    """A known target or runtime that this machine can't run."""

    exit_code = 4


class DeviceError(UnavailableError):
    """Another machine that can't be reached, or whose connection was cut."""


class IntegrityError(EdgekdError):
    """A bundle or artifact that is not what it says it is."""

    exit_code = 5


class ResourceError(EdgekdError):
    """Out of disk or memory."""

    exit_code = 6


class Failure(TypedDict):
    """``error.json``: ``EdgekdError.as_dict``; ``shown`` where what was found is no text or number."""

    kind: str
    message: str
    where: NotRequired[str | None]
    found: NotRequired[str | bool | int | float | None]
    shown: NotRequired[str]
    allowed: NotRequired[str | list[str] | None]
    hint: NotRequired[str | None]


# By name. An error that another process tells of is one of these, and nothing else that has a name.
KINDS: dict[str, type[EdgekdError]] = {
    name: kind for name, kind in globals().items() if isinstance(kind, type) and issubclass(kind, EdgekdError)
}


def from_dict(failure: Mapping[str, Any], otherwise: type[EdgekdError] = EdgekdError) -> EdgekdError:
    """The error that another process told of with ``as_dict``, with its kind and its fields.

    Args:
        failure: of the shape of ``Failure``.
        otherwise: what a kind that is not in the tree becomes.
    """
    actual = failure.get("found") if "shown" not in failure else Shown(failure["shown"])
    fields = {key: failure.get(key) for key in ("where", "allowed", "hint")}
    return KINDS.get(failure["kind"], otherwise)(failure["message"], found=actual, **fields)
