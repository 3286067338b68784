"""Documents that are off: every leaf and container of a good one, in its turn, replaced by what is not allowed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

GONE = object()
VALUES: tuple[Any, ...] = (
    *(GONE, None, True, -1, 0, 1.5, 5e-324, 1e308, -1e308, 10**30, float("nan"), float("inf"), "", "x", "\ud800"),
    *([], {}, [[]], {"a": 1}, [None]),
)
FEW: tuple[Any, ...] = (GONE, None, True, -1, 0, 1e15, "x", [], {})
Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place; of a list the last, beside which others stand."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for i in range(len(value))[-1:]:
            yield from places(value[i], (*path, i))


def at(document: Any, path: Path) -> Any:
    """What stands at a place."""
    for key in path:
        document = document[key]
    return document


def variants(document: Any, values: Iterable[Any] = VALUES) -> Iterator[tuple[Path, Any, Any]]:
    """(place, value, document) for every place and value; the document is one's own until the next is asked for."""
    mine = copy.deepcopy(document)
    for path in list(places(mine)):
        inside, key = at(mine, path[:-1]), path[-1]
        order = list(inside.items()) if isinstance(inside, dict) else None
        before = inside[key]
        for value in values:
            if value is GONE:
                del inside[key]
            else:
                inside[key] = copy.deepcopy(value)
            yield path, value, mine
            if order is not None:
                inside.clear()
                inside.update(order)
            elif value is GONE:
                inside.insert(int(key), before)
            else:
                inside[key] = before
