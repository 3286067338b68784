"""Where targets stand and what is written there: plain tables, which ``target`` checks where pydantic is installed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edgekd.errors import TargetError


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
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors begin a file with a mark
    except OSError as err:
        raise TargetError(f"can't be read ({err.strerror})", where=str(path)) from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise TargetError(f"not valid TOML: {err}", where=str(path)) from err
    return {"name": path.stem, **table}
