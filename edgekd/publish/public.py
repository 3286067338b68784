"""What of a build may be told to strangers: a bundle holds no absolute path."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from edgekd.base.plain import plain
from edgekd.spec.recipe import Recipe

WORDS, NAMES = ("name", "description"), ("classes", "outside", "columns", "label", "categories")


def recipe(parsed: Recipe) -> dict[str, object]:
    """The exact recipe, but of input paths only the file's name: no absolute path enters a bundle."""
    table: dict[str, object] = without_paths(plain(parsed.model_dump(exclude_none=True)))
    named = {*parsed.task} == {"kind"}  # as most recipes write it
    return {**table, "task": parsed.task["kind"]} if named else table


def without_paths(value: Any) -> Any:
    """The same plain data, every absolute path in it shortened to its last part.

    A name or a description is no path (``/r/aww: cats or dogs``), nor is what a class is called (``/m/09x0r``).
    """
    if isinstance(value, dict):
        return {key: inner if _is_named(key, inner) else without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    absolute = isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute())
    return PureWindowsPath(value).name if absolute else value


def _is_named(key: object, value: object) -> bool:
    return (key in WORDS and isinstance(value, str)) or (key in NAMES and isinstance(value, list | tuple))
