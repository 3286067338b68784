"""What a process that measured leaves in its folder: a document, or the error that it ended with."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edgekd.base import reader
from edgekd.base.errors import (
    EdgekdError,
    Failure,
    IntegrityError,
    OutputError,
    ResourceError,
    UnavailableError,
    from_dict,
)

FAILURE = "error.json"
MOST = 1_000_000  # bytes, where a document has no limit of its own
TAIL = 4_000  # characters of a process's stderr that are read
# What a process's exit code says where it could leave no error.json; -9: killed, as the system does when memory is out.
CODES = {2: OutputError, 4: UnavailableError, 5: IntegrityError, 6: ResourceError, -9: ResourceError}
T = TypeVar("T")


def check_outcome(folder: Path, code: int, stderr: str, where: str, error: type[EdgekdError] = EdgekdError) -> None:
    """Raise the error that a child left in its folder, or that it crashed.

    Args:
        error: what a crash is, an ``error.json`` that is none, and an error of a kind that edgekd does not have.
    """
    if (folder / FAILURE).is_file():
        raise from_dict(read_left(folder, FAILURE, Failure, error, where), error)
    if code:
        tail = " | ".join(stderr[-TAIL:].strip().splitlines()[-5:]) or "it wrote nothing"
        raise CODES.get(code, error)(f"measuring on {where} ended with {code}: {tail}")


def tell_error(folder: Path, err: EdgekdError) -> int:
    """Leave an error for the parent to raise; the exit code, which alone tells of it where nothing can be written."""
    try:
        (folder / FAILURE).write_text(json.dumps(err.as_dict()), encoding="utf-8")
    except OSError:
        with suppress(OSError):
            (folder / FAILURE).unlink()
        sys.stderr.write(f"{err}\n")
    return err.exit_code


def read_left(
    folder: Path,
    name: str,
    shape: type[T],
    error: type[EdgekdError],
    where: str,
    most: int = MOST,
) -> T:
    """A document that a process left in its folder.

    Raises:
        EdgekdError: (of class ``error``) none, too large, or not of the shape.
    """
    try:
        with (folder / name).open("rb") as file:
            data = file.read(most + 1)
    except OSError as err:
        raise error(f"left no {name} ({err.strerror})", where=where) from err
    return reader.read(data, shape, f"{where}: {name}", error, most)
