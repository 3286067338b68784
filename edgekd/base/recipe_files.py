"""The built-in recipes as files, and a recipe to start from."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgekd.base.disk import disk
from edgekd.base.errors import OutputError, UsageError

NAME = "[a-z0-9][a-z0-9._-]{0,63}"  # of a recipe


def builtin_folder() -> Path:
    return Path(__file__).parent.parent / "spec" / "recipes"


def builtins() -> list[str]:
    """The names of the built-in recipes."""
    return sorted(path.stem for path in builtin_folder().glob("*.toml"))


def start(path: Path, name: str) -> None:
    """Write a built-in recipe, with its comments, named after its file (``edgekd.toml`` keeps the built-in's name)."""
    if name not in builtins():
        raise UsageError("no such built-in recipe", where="--recipe", found=name, allowed=builtins())
    if os.path.lexists(path):
        raise OutputError("exists", where=str(path), hint="choose another name")
    text = (builtin_folder() / f"{name}.toml").read_text(encoding="utf-8")
    if re.fullmatch(NAME, path.stem) and path.stem != "edgekd":
        text = text.replace(f'name = "{name}"', f'name = "{path.stem}"', 1)
    with disk(path), open(path, "x", encoding="utf-8") as file:
        file.write(text)
