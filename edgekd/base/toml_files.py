"""TOML as users write it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edgekd.errors import EdgekdError


def read(path: Path, error: type[EdgekdError]) -> dict[str, Any]:
    """A file's table.

    Raises:
        EdgekdError: (of class ``error``) unreadable, or not TOML; names the file.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors begin a file with a mark
    except OSError as err:
        raise error(f"can't be read ({err.strerror})", where=str(path)) from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise error(f"not valid TOML: {err}", where=str(path)) from err
