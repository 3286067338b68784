"""What Unicode knows of letters, as far as a vocabulary needs it, for a tokenizer in a language without Unicode."""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain

from edgekd.base.wordpiece import is_cjk, spelled

_SYLLABLES = range(0xAC00, 0xD7A4)  # Hangul comes apart by arithmetic
_SURROGATES = range(0xD800, 0xE000)
_UNUSED = range(0x40000, 0xE0000)  # more than half of all: planes that hold nothing


@dataclass(frozen=True)
class Tables:
    """Characters that do not stay as they are.

    Attributes:
        ranges: first and last character, and what becomes of each: ``drop``, ``apart`` (a word) or ``space``.
        letters: a character and what it is spelled as.
    """

    ranges: tuple[tuple[int, int, str], ...]
    letters: tuple[tuple[int, str], ...]


def of(tokens: Collection[str], lower: bool) -> Tables:
    """The tables of a vocabulary.

    A word with a character that no token holds is unknown, however that one is spelled: such letters are left out.
    """
    known = set(chain.from_iterable(tokens))
    ranges: list[tuple[int, int, str]] = []
    letters: list[tuple[int, str]] = []
    for code, become in _changes(lower):
        char = chr(code)
        kind = {"": "drop", " ": "space", f" {char} ": "apart"}.get(become)
        if kind is None and become.strip() not in (
            "",
            become,
        ):  # a word, and spelled otherwise
            letter = become.strip()
            kind = "apart" if not known & {letter, char} else None
        elif kind is None and char not in known and not known.issuperset(become):
            continue
        if kind is None:
            letters.append((code, become))
        elif ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == kind:
            ranges[-1] = (ranges[-1][0], code, kind)
        else:
            ranges.append((code, code, kind))
    return Tables(tuple(ranges), tuple(letters))


@functools.cache
def _changes(lower: bool) -> tuple[tuple[int, str], ...]:
    """Every character that is not spelled as itself, and how it is."""
    used = chain(range(_UNUSED.start), range(_UNUSED.stop, sys.maxunicode + 1))
    codes = (code for code in used if code not in _SURROGATES and code not in _SYLLABLES)
    return tuple((code, become) for code in codes if (become := _become(chr(code), lower)) != chr(code))


def _become(char: str, lower: bool) -> str:
    """``spelled``, without asking for each of the million characters that are letters without case, private or free."""
    category = unicodedata.category(char)
    if category not in ("Lo", "Co", "Cn") or unicodedata.decomposition(char):
        return spelled(char, lower)
    return "" if category == "Co" else f" {char} " if is_cjk(char) else char
