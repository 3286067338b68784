"""Texts of strangers on a terminal: what would move its cursor, colour it or turn the line around is shown, not done.

Class names, package names, a runtime's or a device's messages are data: they may hold anything. Where they are shown,
``\\x1b`` stands for an escape character. Every script stays as it is, what joins or parts its letters too (U+200C,
U+200D), of which emoji are made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# C0, DEL and C1, where escape and OSC sequences begin; marks and overrides of bidirectional text; separators of lines
# and paragraphs; deprecated format characters and those of annotations; halves of surrogates.
_UNSAFE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, keep: str = "") -> str:
    """A text with each character that is no text escaped as Python escapes it.

    Args:
        keep: of those characters, what stays: of edgekd's own lines the line breaks.
    """
    return _UNSAFE.sub(lambda match: match[0] if match[0] in keep else _escaped(match[0]), text)


def is_printable(text: str) -> bool:
    """Whether ``printable`` leaves a text as it is."""
    return _UNSAFE.search(text) is None


def all_printable(value: object) -> Any:
    """A document (tables, lists, paths, texts) with each text in it printable, keys too; all else as it is."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, PurePath):
        return type(value)(printable(str(value)))
    if isinstance(value, Mapping):
        return {all_printable(key): all_printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [all_printable(inner) for inner in value]
    return value


def in_json(document: str) -> str:
    """A JSON document that means the same and does nothing to a terminal: such characters stand in its texts alone."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] in "\n\t" else f"\\u{ord(match[0]):04x}", document)


def _escaped(char: str) -> str:
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
