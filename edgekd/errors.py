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
from typing import Any


class EdgekdError(Exception):
    """Base of everything edgekd raises on purpose.

    Args:
        message: what is wrong, one sentence without a final full stop.
        where: file and key, such as ``"recipe.toml: losses[0].kind"``.
        found: what stood there; shown with ``repr`` (shortened).
        allowed: what may stand there: a sentence, or names (the nearest to ``found`` is suggested).
        hint: what to do next, such as a pip line.
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
        parts = [f"{where}: {message}" if where else message]
        if found is not None:
            text = repr(found)
            parts.append(f"found {text if len(text) <= 120 else text[:117] + '...'}")
        if isinstance(allowed, str):
            parts.append(f"allowed: {allowed}")
        elif allowed is not None:
            names = sorted(str(name) for name in allowed)
            parts.append(f"allowed: {', '.join(names) if names else 'none'}")
            near = difflib.get_close_matches(str(found), names, n=1, cutoff=0.5)
            if near:
                parts.append(f"did you mean {near[0]!r}?")
        if hint:
            parts.append(hint)
        super().__init__("; ".join(parts))
        self.where = where

    def put_in(self, file: str) -> None:
        """Name the file in front of the key, unless it is named."""
        if self.where is not None and not self.where.startswith(file):
            self.where = f"{file}: {self.where}"
            self.args = (f"{file}: {self.args[0]}",)


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
        told = str(err)
        for option, argument in _IN_PYTHON.items():
            told = re.sub(rf"(?<![\w-]){option}(?![\w-])", argument, told)
        err.args = (told,)
        raise


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Errors in a recipe, its data or its factories name the file that they stand in."""
    try:
        yield
    except (RecipeError, DataError, FactoryError) as err:
        err.put_in(file)
        raise


class GateError(EdgekdError):
    """A wish of the budget, or parity, was missed; nothing is published. ``report``: the build's report.json."""

    exit_code = 3
    report: Mapping[str, Any] | None = None


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
