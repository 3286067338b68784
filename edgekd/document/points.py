"""A trial's point as tune.json writes it: values by recipe key; ``compress.1 = false`` leaves that table out."""

from __future__ import annotations

from collections.abc import Mapping

LISTS = ("losses", "compress")  # keys of a recipe whose entries a point may leave out


def is_entry(key: str) -> bool:
    """Whether a key names a whole table of a list: ``compress.1``."""
    name, _, number = key.partition(".")
    return name in LISTS and number.isdecimal()


def acting(point: Mapping[str, object]) -> dict[str, object]:
    """A point without the keys of tables that it leaves out."""
    gone = tuple(f"{key}." for key, value in point.items() if value is False and is_entry(key))
    return {key: value for key, value in point.items() if not key.startswith(gone)}
