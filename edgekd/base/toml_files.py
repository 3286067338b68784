"""TOML files that a user wrote, within limits: size, depth, and numbers that a machine holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edgekd.base import limits, reader
from edgekd.base.errors import EdgekdError

MOST = 1_000_000  # bytes; the longest built-in recipe has 3,557
# a.b.c...: what tomllib takes for it grows with the square of its parts, 1.3 s for 5,000 of them.
_NAMES = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{limits.DEPTH}}}")


def read(path: Path, error: type[EdgekdError]) -> dict[str, Any]:
    """A file's table.

    Raises:
        EdgekdError: (of class ``error``) unreadable, too large, not TOML, tables in tables without end, or a number
            that no machine holds; names the file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as err:
        raise error(f"can't be read ({err.strerror})", where=str(path)) from err
    if _NAMES.search(data[:MOST].decode("utf-8", "replace")):
        raise error("names without end", where=str(path), allowed=f"{limits.DEPTH} deep at most")
    table = reader.toml(data, str(path), error, MOST)
    check(table, str(path), error)
    return table


def check(value: object, where: str, error: type[EdgekdError]) -> None:
    """Raise an error where a value holds tables in tables without end, or a number of more than 64 bits."""
    level = [value]
    for _ in range(limits.DEPTH + 1):
        if any(isinstance(inner, int) and inner.bit_length() > 63 for inner in level):  # hexadecimal ones may be so
            raise error("a number of more than 64 bits", where=where, allowed="-2^63 to 2^63 - 1")
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        if not level:
            return
    raise error("tables in tables", where=where, allowed=f"{limits.DEPTH} deep at most")


def _inside(outer: dict[str, object] | list[object]) -> list[object]:
    return list(outer.values()) if isinstance(outer, dict) else outer
