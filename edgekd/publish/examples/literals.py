"""Texts in programs: names and labels are a stranger's, and stand in each language as its literals, never as its code.

A template is given ``Foreign`` texts. To write one without saying which literal, word or comment it is to be is an
error of the template, whatever the text holds.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from edgekd.base.printable import in_json, printable


class Foreign(str):
    """A text from outside: equal to itself, and only written through one of the ``FILTERS``."""

    __slots__ = ()

    def __str__(self) -> str:
        raise TypeError("a template writes a text without a filter")

    def __format__(self, spec: str) -> str:
        return str(self)


def foreign(value: object) -> Any:
    """A value with every text in it ``Foreign``: in dataclasses, tables (their keys, too), lists and tuples."""
    if isinstance(value, str):
        return Foreign(value)
    if isinstance(value, Mapping):
        return {foreign(key): foreign(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [foreign(inner) for inner in value]
    if isinstance(value, tuple):
        return tuple(foreign(inner) for inner in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: foreign(getattr(value, field.name)) for field in fields(value)})
    return value


def plain(text: str) -> str:
    """The text itself."""
    return str.__str__(text)


def literal(value: object) -> str:
    """A literal of Python and of JavaScript, of texts, whole numbers and lists and tables of them; and JSON."""
    return in_json(json.dumps(value, ensure_ascii=False))


def ascii_literal(text: str) -> str:
    """The same of a text in ASCII alone."""
    return json.dumps(plain(text))


def javascript(value: Any) -> str:
    """A table as an expression of JavaScript: in a literal ``__proto__`` would be no key."""
    return f"Object.fromEntries({literal(list(value.items()))})"


def cpp(text: str) -> str:
    """A ``std::string`` of C++17 as UTF-8; the compiler counts it, so that it may hold NUL."""
    return '"' + "".join(map(_of_cpp, plain(text))) + '"s'


def cpp32(text: str) -> str:
    """A string literal of C++ in ASCII; what precedes it says of which characters."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08X}" for c in text) + '"'


def cpp_numbers(value: object) -> str:
    """Numbers, or rows of them, as a braced list of C++."""
    return "{" + ", ".join(map(cpp_numbers, value)) + "}" if isinstance(value, Iterable) else repr(value)


def comment(text: str) -> str:
    """What stands in a comment or a docstring of any language, which it can't end: letters, digits and ``._-``."""
    return re.sub(r"[^\w .-]", "_", plain(text))


def page(text: str) -> str:
    """A text on a web page."""
    return html.escape(printable(plain(text)))


def name(text: str) -> str:
    """The name of an operation."""
    if not plain(text).isidentifier():
        raise TypeError("not a name")
    return plain(text)


def _of_cpp(char: str) -> str:
    if char.isalnum() or (char.isascii() and char.isprintable() and char not in '"\\?'):  # ? begins a trigraph
        return char
    return "".join(f"\\{byte:03o}" for byte in char.encode())  # octal ends after three digits, and hex nowhere


FILTERS: dict[str, Callable[[Any], str]] = {
    "literal": literal,
    "ascii": ascii_literal,
    "python": repr,
    "javascript": javascript,
    "cpp": cpp,
    "cpp32": cpp32,
    "cpp_numbers": cpp_numbers,
    "comment": comment,
    "page": page,
    "name": name,
}
