"""Small pieces of Markdown that the generators share."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are one line each, and a bar in them is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in line) + " |" for line in lines) + "\n"


def cell(text: str) -> str:
    """A text in one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """A text as code."""
    return f"`{text}`"


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: its first paragraphs, without its sections, code in single backquotes."""
    text = inspect.cleandoc(docstring or "")
    text = re.split(r"^(?:Attributes|Args|Returns|Raises):\s*$", text, maxsplit=1, flags=re.MULTILINE)[0]
    return plain(text).strip()


def plain(text: str) -> str:
    """Docstring markup as Markdown: double backquotes become single ones, blocks keep their indentation."""
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return text.replace("::\n", ":\n").replace("<", "&lt;") if "`" not in text else _outside_code(text)


def _outside_code(text: str) -> str:
    parts = re.split(r"(`[^`]*`)", text.replace("::\n", ":\n"))
    return "".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def attributes(docstring: str | None) -> dict[str, str]:
    """What a docstring's ``Attributes:`` (or ``Args:``) says of each name; ``a, b: text`` counts for both."""
    text = inspect.cleandoc(docstring or "")
    parts = re.split(r"^(?:Attributes|Args):\s*$", text, maxsplit=1, flags=re.MULTILINE)
    if len(parts) < 2:
        return {}
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in parts[1].splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        start = re.match(r"    ([A-Za-z_][\w, ]*): (.*)$", line)
        if start:
            names = [name.strip() for name in start.group(1).split(",")]
            meanings |= dict.fromkeys(names, start.group(2))
        elif line.strip():
            meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
    return {name: plain(meaning) for name, meaning in meanings.items()}
