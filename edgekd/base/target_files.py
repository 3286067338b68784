"""Where targets stand and what is written there: plain tables, which ``target`` checks where pydantic is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekd.base import toml_files
from edgekd.base.errors import TargetError


def folder() -> Path:
    """Where the built-in targets stand: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "targets"
    return inside if inside.is_dir() else package.parent / "targets"


def names() -> list[str]:
    """The built-in targets, sorted."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def read(path: Path) -> dict[str, Any]:
    """One file as it is written, with its name.

    Raises:
        TargetError: unreadable, or not TOML.
    """
    return {"name": path.stem, **toml_files.read(path, TargetError)}
