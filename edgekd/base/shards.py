"""A checkpoint in several files: its index names, as model hubs write it, the file that each tensor lies in."""

from __future__ import annotations

import json
from pathlib import Path

INDEX = ".index.json"


def shards(index: Path) -> dict[str, Path]:
    """The file of each tensor; they lie beside the index (``{"weight_map": {tensor: file}}``).

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is no index, or leads elsewhere.
        OSError: it can't be read.
    """
    try:
        table = json.loads(index.read_text("utf-8"))
    except RecursionError as err:
        raise ValueError("lists in lists without end") from err
    named = {str(name): str(file) for name, file in table["weight_map"].items()}
    if any(Path(file).name != file for file in named.values()):
        raise ValueError("a shard lies beside its index")
    return {name: index.with_name(file) for name, file in named.items()}
