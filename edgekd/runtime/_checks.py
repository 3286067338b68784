"""What a manifest may hold: each check names the place and raises IntegrityError."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any

from edgekd.base.errors import IntegrityError
from edgekd.base.printable import is_printable

Table = dict[str, Any]  # of JSON: what stands in it is checked where it is read
MOST = 2**31 - 1
LONGEST = 500  # characters of a path: to normalize n accents in a row takes Python n^2 steps


def keys(value: object, allowed: Collection[str], where: str) -> Table:
    """A table with exactly these keys."""
    table = table_at(value, where)
    for key in table:
        if key not in allowed:
            raise IntegrityError("unknown key", where=where, found=key, allowed=allowed)
    for key in allowed:
        if key not in table:
            raise IntegrityError("a key is missing", where=where, found=sorted(table), allowed=allowed)
    return table


def table_at(value: object, where: str) -> Table:
    """A table."""
    if not isinstance(value, dict):
        raise IntegrityError("not a table", where=where, found=type(value).__name__)
    return value


def listed(value: object, where: str) -> list[object]:
    """A list."""
    if not isinstance(value, list):
        raise IntegrityError("not a list", where=where, found=type(value).__name__)
    return value


def texts(value: object, where: str) -> list[str]:
    """A list of strings."""
    items = [item for item in listed(value, where) if isinstance(item, str)]
    if len(items) < len(listed(value, where)):
        raise IntegrityError("not a list of strings", where=where, found=value)
    return items


def wholes(value: object, where: str) -> list[int]:
    """A list of whole numbers from 1."""
    items = [item for item in listed(value, where) if type(item) is int and 1 <= item <= MOST]
    if len(items) < len(listed(value, where)):
        raise IntegrityError("not a list of whole numbers from 1", where=where, found=value)
    return items


def check_path(name: str, where: str) -> None:
    """A relative POSIX path that stays inside the bundle, in its one spelling."""
    path = PurePosixPath(name)
    bad = (
        name in ("", ".")
        or path.is_absolute()
        or ".." in path.parts
        or str(path) != name
        or "\\" in name
        or ":" in name
    )
    if len(name) > LONGEST:
        raise IntegrityError("too long a name", where=where, found=len(name), allowed=f"{LONGEST} characters")
    if bad or not is_printable(name):
        raise IntegrityError("a path that leaves the bundle", where=where, found=name, allowed="a relative POSIX path")
