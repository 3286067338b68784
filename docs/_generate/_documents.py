"""The keys of report.json, from the shapes of ``edgekd.document``; what each means stands in ``report_keys.toml``.

A key without a meaning, or a meaning without a key, ends the build of the site.
"""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _markdown import cell, code, table

from edgekd.document import report as shapes
from edgekd.document import rules

MEANINGS = Path(__file__).with_name("report_keys.toml")
TYPES = {str: "text", int: "integer", float: "number", bool: "boolean", object: "any value", type(None): "null"}


def report() -> str:
    """Every key of the document, one table for each key of its top level."""
    meanings: dict[str, str] = tomllib.loads(MEANINGS.read_text(encoding="utf-8"))
    keys = dict(walk(shapes.Report))
    if odd := sorted(keys.keys() ^ meanings.keys()):
        raise ValueError(f"{MEANINGS.name} and edgekd.document.report differ in {', '.join(odd)}")
    parts: list[str] = []
    sections: dict[str, list[tuple[str, str, str]]] = {}
    for key, kind in keys.items():
        top = key.split(".")[0].split("[")[0]
        section = top if any(other.startswith((f"{top}.", f"{top}[")) for other in keys) else "(top)"
        sections.setdefault(section, []).append((code(key), cell(kind), meanings[key]))
    for section, rows in sorted(sections.items(), key=lambda item: item[0] != "(top)"):
        title = "Top level" if section == "(top)" else section
        parts.append(f"### {title}\n\n{table(('key', 'type', 'meaning'), rows)}")
    return "\n".join(parts)


def walk(shape: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a TypedDict and of those inside it, as (dotted key, type); ``*`` is any name, ``[]`` an entry."""
    optional: frozenset[str] = getattr(shape, "__optional_keys__", frozenset())
    for name, hint in typing.get_type_hints(shape, include_extras=True).items():
        if typing.get_origin(hint) is typing.NotRequired:
            hint = typing.get_args(hint)[0]
        key = f"{place}{name}"
        yield key, f"{kind_of(hint)}{'; may be missing' if name in optional else ''}"
        inner, inside = _inner(hint)
        if inner is not None:
            yield from walk(inner, f"{key}{inside}.")


def _inner(hint: Any) -> tuple[Any, str]:
    """The TypedDict that a type holds, and how it is reached; None where it holds none."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _inner(args[0])
    if origin in (typing.Union, types.UnionType):
        return next((inner for arg in args if (inner := _inner(arg))[0] is not None), (None, ""))
    if origin is list:
        inner, inside = _inner(args[0])
        return inner, f"[]{inside}"
    if origin is dict:
        inner, inside = _inner(args[1])
        return inner, f".*{inside}"
    return (hint, "") if typing.is_typeddict(hint) else (None, "")


def kind_of(hint: Any) -> str:
    """A type in words; a number of a range with the range."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        bounds = [str(rule) for rule in args[1:] if isinstance(rule, rules.Range) and abs(rule.high) <= 1]
        return kind_of(args[0]) + (f", {bounds[0]}" if bounds else "")
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_of(arg) for arg in args)
    if origin is typing.Literal:
        return ", ".join(f"`{arg!r}`".replace("'", '"') for arg in args)
    if origin is list:
        return f"list of {kind_of(args[0])}"
    if origin is tuple:
        return f"[{', '.join(kind_of(arg) for arg in args)}]"
    if origin is dict:
        return f"object of {kind_of(args[1])}"
    return "object" if typing.is_typeddict(hint) else TYPES.get(hint, str(hint))
