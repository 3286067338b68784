"""TOML as users write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekd.base import reader
from edgekd.errors import EdgekdError

MOST = 1_000_000  # bytes; the longest built-in recipe has 3,557


def read(path: Path, error: type[EdgekdError]) -> dict[str, Any]:
    """A file's table.

    Raises:
        EdgekdError: (of class ``error``) unreadable, too large, or not TOML; names the file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as err:
        raise error(f"can't be read ({err.strerror})", where=str(path)) from err
    return reader.toml(data, str(path), error, MOST)
