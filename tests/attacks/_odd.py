"""Documents that are off: every leaf and container of a good one, in its turn, replaced by what is not allowed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

GONE = object()
VALUES = (GONE, None, True, -1, 0, 1.5, 5e-324, 1e308, -1e308, 10**30, float("nan"), float("inf"), "", "x", "\ud800",
          [], {}, [[]], {"a": 1}, [None])  # fmt: skip
Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place; of a list the first and the last."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for i in sorted({0, len(value) - 1} if value else ()):
            yield from places(value[i], (*path, i))


def at(document: Any, path: Path) -> Any:
    """What stands at a place."""
    for key in path:
        document = document[key]
    return document


def replaced(document: Any, path: Path, value: Any) -> Any:
    """A copy with another value at a place, or with none."""
    made = copy.deepcopy(document)
    inside = at(made, path[:-1])
    if value is GONE:
        del inside[path[-1]]
    else:
        inside[path[-1]] = copy.deepcopy(value)
    return made


def variants(document: Any) -> Iterator[tuple[Path, Any, Any]]:
    """(place, value, document) for every place and value."""
    for path in places(document):
        for value in VALUES:
            yield path, value, replaced(document, path, value)
