"""The one reader of documents that come from outside: JSON and TOML, held against a limit of size and a shape.

Whatever is wrong is an error of the door's kind that names the place in the document (``targets.ort-cpu.p50_ms``), what
was found and what is allowed. Shapes are TypedDicts (see ``edgekd.document``): what reads a document further may then
rely on each key, type and range, and needs no check of its own.
"""

from __future__ import annotations

import functools
import json
import math
import tomllib
import types
import typing
from typing import Annotated, Any, Literal, NotRequired, Protocol, TypeVar, Union

from edgekd.base.errors import EdgekdError, IntegrityError, Shown

DEPTH = 64  # of tables and lists in each other; the deepest of edgekd's own, a report, has 8
MOST = 16_000_000  # bytes, where a document has no limit of its own; 20 times as much in memory, at worst
LARGEST = 2**63  # of a whole number where its shape gives no range: numpy knows no larger one
KEY = 60  # characters of a key that are shown in a place
T = TypeVar("T")
Hint = Any  # a type as ``typing`` spells it: ``str | None`` and ``Annotated`` are no types of Python
Json = Any  # what a document holds, which is what is found out here


class Rule(Protocol):
    """What ``Annotated`` adds to a type in a shape: a range, a length. Its text says what is allowed."""

    def takes(self, value: object) -> bool:
        """Whether a value of the type is allowed."""


class _Twice(ValueError):
    """A table that names a key twice; readers disagree on which one counts."""


def read(data: bytes, shape: type[T], where: str, error: type[EdgekdError] = IntegrityError, most: int = MOST) -> T:
    """A JSON document of a shape.

    Args:
        data: its bytes, UTF-8.
        shape: a TypedDict, ``list[...]`` or ``dict[str, ...]`` of such, that stands in a module; see ``check``.
        where: the document, for the errors.
        error: the kind of error at this door.
        most: bytes.

    Raises:
        EdgekdError: (of class ``error``) too large, no JSON, a key twice, or not of the shape.
    """
    return check(loads(data, where, error, most), shape, where, error)


def parse(data: bytes, where: str, error: type[EdgekdError] = IntegrityError, most: int = MOST) -> object:
    """A JSON document of any shape: finite numbers, texts of Unicode, not deeper than ``DEPTH``; else as ``read``."""
    document = loads(data, where, error, most)
    _Walk(where, error).plain(document, "", 0)
    return document


def toml(data: bytes, where: str, error: type[EdgekdError], most: int = MOST) -> dict[str, object]:
    """A TOML document, with the limits of ``parse``. TOML may have numbers that are not finite."""
    _limit(data, where, error, most)
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))  # Windows editors begin a file with a mark
    except RecursionError as err:
        raise error("nested too deep", where=where, allowed=f"{DEPTH} levels") from err
    except ValueError as err:  # no TOML, no UTF-8, or a number of thousands of digits
        raise error(f"not valid TOML: {err}", where=where) from err
    _Walk(where, error, finite=False).plain(document, "", 0)
    return document


def check(value: object, shape: type[T], where: str, error: type[EdgekdError] = IntegrityError) -> T:
    """The value itself, where it is of a shape.

    A shape is made of TypedDicts (``NotRequired`` where a key may be missing), ``list``, ``dict[str, ...]``, ``tuple``
    (a list of that length), ``Literal``, unions, ``None``, ``str``, ``bool``, ``int``, ``float``, ``object`` (anything)
    and ``Annotated`` with rules. A whole number is a number, a bool is neither. Keys that a TypedDict does not name are
    passed over, unless its ``__closed__`` says that there are none (PEP 728).

    Raises:
        EdgekdError: (of class ``error``) at the first place that is not.
    """
    _Walk(where, error).typed(value, shape, "", 0)
    return typing.cast(T, value)


def _limit(data: bytes, where: str, error: type[EdgekdError], most: int) -> None:
    if len(data) > most:
        raise error("too large", where=where, found=len(data), allowed=f"at most {most:,} bytes")


def loads(data: bytes, where: str, error: type[EdgekdError] = IntegrityError, most: int = MOST) -> object:
    """A JSON document, no key twice in a table; what it holds is not looked at. Raises as ``read``."""
    _limit(data, where, error, most)
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_table)
    except _Twice as err:
        raise error("a key stands twice", where=where, found=str(err)) from err
    except RecursionError as err:
        raise error("not valid JSON: nested too deep", where=where, allowed=f"{DEPTH} levels") from err
    except ValueError as err:  # no UTF-8, no JSON, or a number of thousands of digits
        raise error(f"not valid JSON: {err}", where=where) from err


def _table(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return table


@functools.cache
def _keys(shape: type) -> dict[str, tuple[object, bool]]:
    """Of a TypedDict by key: its type, and whether it must be there."""
    keys = {}
    for key, hint in typing.get_type_hints(shape, include_extras=True).items():
        optional = typing.get_origin(hint) is NotRequired
        keys[key] = (typing.get_args(hint)[0] if optional else hint, not optional)
    return keys


_FORMS: dict[int, tuple[Hint, bool, Hint, tuple[Hint, ...]]] = {}  # of types that were met; each is kept by its entry


def _form(hint: Hint) -> tuple[Hint, bool, Hint, tuple[Hint, ...]]:
    """A type, whether it is a TypedDict, its origin and its arguments."""
    form = (hint, typing.is_typeddict(hint), typing.get_origin(hint), typing.get_args(hint))
    _FORMS[id(hint)] = form
    return form


WORDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
    list: "a list",
    dict: "a table",
    object: "anything",
}


def _words(hint: Any) -> str:
    """What a type allows, in words."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return str(args[1])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, args)))
    if origin is Literal:
        return ", ".join(map(str, args))
    if origin is tuple:
        return f"a list of {len(args)}"
    return "a table" if typing.is_typeddict(hint) else WORDS[origin or hint]


def _told(value: object) -> object:
    """A value as it is shown: of tables and lists what they are."""
    if isinstance(value, dict | list):
        return Shown(f"{WORDS[type(value)]} of {len(value)}")
    return Shown("null") if value is None else value


def _in(place: str, key: str) -> str:
    key = key if len(key) <= KEY else key[: KEY - 3] + "..."
    return f"{place}.{key}" if place else key


class _Walk:
    """Goes through a document and raises at the first place that is not as it should be."""

    def __init__(self, where: str, error: type[EdgekdError], finite: bool = True) -> None:
        self.where, self.error, self.finite = where, error, finite

    def off(self, place: str, message: str, value: object, allowed: str | list[str]) -> EdgekdError:
        """What is raised."""
        where = f"{self.where}: {place}" if place else self.where
        return self.error(message, where=where, found=_told(value), allowed=allowed)

    def text(self, value: str, place: str) -> None:
        """A text must be one that can be written down: JSON's escapes spell halves of characters, too."""
        if not value.isascii() and not _is_text(value):
            raise self.off(place, "half a character", Shown(ascii(value)[:KEY]), "Unicode")

    def plain(self, value: object, place: str, depth: int) -> None:
        """Anything, within the limits."""
        if not _is_fine(value, depth, self.finite):
            self.tell(value, place, depth)

    def tell(self, value: object, place: str, depth: int) -> None:
        """Raise what ``_is_fine`` found, with its place."""
        if depth > DEPTH:
            raise self.off("", "nested too deep", None, f"{DEPTH} levels")
        if isinstance(value, dict):
            for key, inner in value.items():
                self.text(key, place)
                self.tell(inner, _in(place, key), depth + 1)
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                self.tell(inner, f"{place}[{i}]", depth + 1)
        elif isinstance(value, str):
            self.text(value, place)
        elif isinstance(value, float) and self.finite and not math.isfinite(value):
            raise self.off(place, "not a finite number", value, "a finite number")

    def typed(self, value: Json, hint: Hint, place: str, depth: int) -> None:
        """A value of a type."""
        if hint is object or hint is Any:
            return self.plain(value, place, depth)
        if depth > DEPTH:
            raise self.off("", "nested too deep", None, f"{DEPTH} levels")
        _, is_table, origin, args = _FORMS.get(id(hint)) or _form(hint)
        if is_table:
            self.table(value, hint, place, depth)
        elif origin is None:
            self.scalar(value, hint, place)
        elif origin is Annotated:
            self.typed(value, args[0], place, depth)
            for rule in args[1:]:
                if not rule.takes(value):
                    raise self.off(place, "not allowed", value, str(rule))
        elif origin in (Union, types.UnionType):
            self.union(value, hint, args, place, depth)
        elif origin is Literal:
            if not any(type(value) is type(one) and value == one for one in args):
                raise self.off(place, "not one of the choices", value, [str(one) for one in args])
        elif origin is dict and isinstance(value, dict):
            for key, inner in value.items():
                self.text(key, place)
                self.typed(inner, args[1], _in(place, key), depth + 1)
        elif origin is list and isinstance(value, list):
            if not _numbers(value, args[0]):
                for i, inner in enumerate(value):
                    self.typed(inner, args[0], f"{place}[{i}]", depth + 1)
        elif origin is tuple and isinstance(value, list) and len(value) == len(args):
            for i, (inner, arg) in enumerate(zip(value, args, strict=True)):
                self.typed(inner, arg, f"{place}[{i}]", depth + 1)
        else:
            self.scalar(value, hint, place)

    def scalar(self, value: Json, hint: Hint, place: str) -> None:
        """A text, a number, a bool or null."""
        kind = type(value)
        if kind is str and hint is str:
            return self.text(value, place)
        if kind is int and hint in (int, float):
            if abs(value) >= LARGEST:
                raise self.off(place, "too large a number", value, "numbers of 63 bits")
        elif kind is float and hint is float:
            if not math.isfinite(value):
                raise self.off(place, "not a finite number", value, "a finite number")
        elif kind is not hint:
            raise self.off(place, "of another type", value, _words(hint))
        return None

    def table(self, value: object, shape: type, place: str, depth: int) -> None:
        """A table with the keys of a TypedDict."""
        if not isinstance(value, dict):
            raise self.off(place, "of another type", value, "a table")
        keys = _keys(shape)
        for key, (hint, required) in keys.items():
            if key in value:
                self.typed(value[key], hint, _in(place, key), depth + 1)
            elif required:
                raise self.off(_in(place, key), "is missing", Shown(", ".join(value) or "no key"), _words(hint))
        for key in value.keys() - keys.keys():
            if getattr(shape, "__closed__", False):
                raise self.off(place, "unknown key", key, list(keys))
            self.plain({key: value[key]}, place, depth)

    def union(self, value: object, hint: Hint, args: tuple[object, ...], place: str, depth: int) -> None:
        """A value of one of some types; else the first error that lies deeper than that it is of none of them."""
        deeper = []
        for arg in args:
            try:
                return self.typed(value, arg, place, depth)
            except EdgekdError as err:
                mismatch = self.off(place, "of another type", value, _words(hint))
                if (err.message, err.where) != (mismatch.message, mismatch.where):
                    deeper.append(err)
        raise deeper[0] if deeper else self.off(place, "of another type", value, _words(hint))


def _is_fine(value: Json, depth: int, finite: bool) -> bool:
    """Whether ``_Walk.plain`` has nothing to say, at a fifth of its time."""
    kind = type(value)
    if kind is str:
        return value.isascii() or _is_text(value)
    if kind is dict:
        keys = all(key.isascii() or _is_text(key) for key in value)
        return keys and depth < DEPTH and all(_is_fine(inner, depth + 1, finite) for inner in value.values())
    if kind is list:
        return depth < DEPTH and all(_is_fine(inner, depth + 1, finite) for inner in value)
    return kind is not float or not finite or math.isfinite(value)


def _is_text(value: str) -> bool:
    return not any(0xD800 <= ord(letter) < 0xE000 for letter in value)


def _numbers(values: list[Json], hint: Any) -> bool:
    """Whether a list holds numbers of a type and nothing else, found without a step in Python for each."""
    args = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    kinds: dict[object, set[type]] = {int: {int}, float: {int, float}}
    allowed = kinds.get(args[0], set())
    if not values or not allowed or not set(map(type, values)) <= allowed:
        return False
    ends = (min(values), max(values))  # where one is not a number, neither is the sum
    if max(map(abs, ends)) >= LARGEST or not math.isfinite(sum(values)):
        return False
    return all(rule.takes(end) for rule in args[1:] for end in ends)
