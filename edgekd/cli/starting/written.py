"""A recipe's table as TOML with comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from edgekd.base.errors import UsageError
from edgekd.base.printable import printable

BARE = re.compile(r"[A-Za-z0-9_-]+")
COLUMN = 54  # where comments begin


def toml(table: Mapping[str, object], comments: Mapping[str, str], more: Mapping[str, Sequence[str]]) -> str:
    """The text of a recipe.

    Args:
        comments: what stands behind a key, by ``section.key``; of a list of tables behind the first one's.
        more: lines that follow a section as comments, by section.
    """
    sections = {key: value for key, value in table.items() if isinstance(value, Mapping) or _is_tables(value)}
    plain = {key: value for key, value in table.items() if key not in sections}
    blocks = [[*_entries(plain, "", comments), *_commented(more.get("", ()))]]
    for name, value in sections.items():
        tables = [value] if isinstance(value, Mapping) else list(value)  # type: ignore[call-overload]
        head = f"[{_key(name)}]" if isinstance(value, Mapping) else f"[[{_key(name)}]]"
        for i, one in enumerate(tables):
            lines = _entries(one, f"{name}.", {} if i else comments)
            blocks.append([head, *lines, *(_commented(more.get(name, ())) if i == len(tables) - 1 else ())])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _entries(table: Mapping[str, object], above: str, comments: Mapping[str, str]) -> Iterator[str]:
    for key, value in table.items():
        line, comment = f"{_key(key)} = {_value(value)}", comments.get(f"{above}{key}")
        yield line if comment is None else f"{line:{COLUMN - 2}}  # {printable(comment)}"


def _commented(lines: Sequence[str]) -> list[str]:
    return [f"# {printable(line)}" for line in lines]  # names of a stranger's file may hold line breaks


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _text(key)


def _text(value: str) -> str:
    """A basic string; JSON's escapes are TOML's, which wants DEL as one, too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in value.items())} }}"
    raise UsageError("no value of a recipe", where="--set", found=value)
