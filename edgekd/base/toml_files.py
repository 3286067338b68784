"""TOML as users write it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from edgekd.base import limits
from edgekd.errors import EdgekdError

MOST = 1 << 22  # characters
# a.b.c...: what tomllib takes for it grows with the square of its parts, 1.3 s for 5,000 of them.
_NAMES = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{limits.DEPTH}}}")


def read(path: Path, error: type[EdgekdError]) -> dict[str, Any]:
    """A file's table.

    Raises:
        EdgekdError: (of class ``error``) see ``parsed``, or unreadable; names the file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors begin a file with a mark
    except OSError as err:
        raise error(f"can't be read ({err.strerror})", where=str(path)) from err
    except UnicodeDecodeError as err:
        raise error(f"not valid TOML: {err}", where=str(path)) from err
    return parsed(text, str(path), error)


def parsed(text: str, where: str, error: type[EdgekdError]) -> dict[str, Any]:
    """A text's table.

    Raises:
        EdgekdError: (of class ``error``) not TOML, tables in tables without end, or a number that no machine holds.
    """
    if len(text) > MOST or _NAMES.search(text):
        raise error("not likely a recipe: too long, or names without end", where=where, allowed=f"{MOST:,} characters")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as err:  # ValueError: no TOML, or a number of thousands of digits
        raise error(f"not valid TOML: {err}", where=where) from err
    check(table, where, error)
    return table


def check(value: Any, where: str, error: type[EdgekdError]) -> None:
    """Raise an error where a value holds tables in tables without end, or a number of more than 64 bits."""
    level = [value]
    for _ in range(limits.DEPTH + 1):
        if any(isinstance(inner, int) and inner.bit_length() > 63 for inner in level):  # hexadecimal ones may be so
            raise error("a number of more than 64 bits", where=where, allowed="-2^63 to 2^63 - 1")
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        if not level:
            return
    raise error("tables in tables", where=where, allowed=f"{limits.DEPTH} deep at most")


def _inside(outer: dict[str, Any] | list[Any]) -> list[Any]:
    return list(outer.values()) if isinstance(outer, dict) else outer
