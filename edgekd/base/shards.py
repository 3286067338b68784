"""A checkpoint in several files: its index names, as model hubs write it, the file that each tensor lies in."""

from __future__ import annotations

from pathlib import Path

from edgekd.base import reader
from edgekd.base.errors import RecipeError

INDEX = ".index.json"
TABLE, NAMES = dict[str, object], dict[str, str]
MOST = 64_000_000  # bytes: some 500,000 tensors


def shards(index: Path) -> dict[str, Path]:
    """The file of each tensor; they lie beside the index (``{"weight_map": {tensor: file}}``).

    Raises:
        RecipeError: it is no index, or leads elsewhere.
        OSError: it can't be read.
    """
    with index.open("rb") as file:
        table = reader.read(file.read(MOST + 1), TABLE, str(index), RecipeError, MOST)
    named = reader.check(table.get("weight_map"), NAMES, f"{index}: weight_map", RecipeError)
    if odd := [name for name in named.values() if name in ("", ".", "..") or Path(name).name != name]:
        raise RecipeError("a shard lies beside its index", where=str(index), found=odd[0])
    return {name: index.with_name(file) for name, file in named.items()}
