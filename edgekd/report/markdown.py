"""Texts in Markdown: what a stranger named is read as it stands, and neither a link, a heading nor HTML."""

from __future__ import annotations

import re

from edgekd.base.printable import printable


class Markdown(str):
    """Text that is Markdown already, such as ``code`` made it."""

    __slots__ = ()


def escaped(value: object) -> Markdown:
    """A value as Markdown that shows it, in a line of its own, a sentence or a table's cell.

    Escaped is what begins an emphasis, a link, code, HTML, a formula or a cell, and at the beginning of a line what
    makes it a heading, a quotation, a list or a rule. An underscore inside of a word is none.
    """
    if isinstance(value, Markdown):
        return value
    text = re.sub(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])|(?<=\])\(", r"\\\g<0>", _line(value))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markdown(re.sub(r"^(\d{1,9}(?=[.)](?: |$))|(?=[-+=]))", r"\1\\", text))


def code(value: object) -> Markdown:
    """A name as code, where it is like one; any other as text: not every reader of Markdown knows where code ends."""
    text = _line(value)
    return Markdown(f"`{text}`") if re.fullmatch(r"[\w./-]+", text) else escaped(value)


def joined(pattern: str, *values: object) -> Markdown:
    """``"{}: {}"`` with each value escaped."""
    return Markdown(pattern.format(*map(escaped, values)))


def _line(value: object) -> str:
    """What is shown of a value, in one line; figures and their units stay together."""
    return printable(re.sub(r"[^\S\u00a0]+", " ", str(value)).strip())
