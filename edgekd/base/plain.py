"""Values of a recipe as JSON has them: for the keys, and for what a bundle says of its recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import PurePath

from edgekd.base.errors import RecipeError


def plain(value: object, where: str = "") -> object:
    """A value of a recipe as JSON has it, and no two of them alike.

    What JSON has not is a text with a tag, such as ``"!float inf"`` and ``"!date 2020-01-01"``; a text that begins so
    itself becomes ``"!str !..."``. Lists and tuples are one, as in a TOML file.

    Raises:
        RecipeError: an object that nothing tells from another of its kind, such as a function; names its place.
    """
    kind = type(value).__name__
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return f"!str {value}" if value.startswith("!") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else f"!float {value}"
    if isinstance(value, Mapping):
        names = [plain(key) if isinstance(key, str) else f"!{type(key).__name__} {key}" for key in value]
        return {name: plain(value[key], f"{where}.{key}".lstrip(".")) for name, key in zip(names, value, strict=True)}
    if isinstance(value, list | tuple):
        return [plain(inner, f"{where}.{i}") for i, inner in enumerate(value)]
    if isinstance(value, set | frozenset):
        return ["!set", *sorted((plain(inner, where) for inner in value), key=repr)]
    if isinstance(value, bytes):
        return f"!bytes {value.hex()}"
    if isinstance(value, date | time | PurePath | complex | Decimal):
        return f"!{kind} {value}"
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # of numpy or torch
        return [f"!{kind} {value.dtype}", plain(value.tolist(), where)]
    allowed = "texts, numbers, dates, lists and tables"
    raise RecipeError("no plain value", where=where or "recipe", found=kind, allowed=allowed)
