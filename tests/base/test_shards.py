"""A checkpoint in several files: its index leads to files beside it, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekd.base.errors import RecipeError
from edgekd.base.shards import INDEX, shards


def index(folder: Path, table: Any) -> Path:
    path = folder / f"model{INDEX}"
    path.write_text(json.dumps(table))
    return path


def test_each_tensor_has_its_file(tmp_path: Path) -> None:
    path = index(tmp_path, {"metadata": {"total_size": 3}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})
    assert shards(path) == {"a": tmp_path / "1.safetensors", "b": tmp_path / "2.safetensors"}


@pytest.mark.parametrize("name", ["../1.safetensors", "/etc/passwd", "sub/1", "", ".", ".."])
def test_a_shard_lies_beside_its_index(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a shard lies beside its index"):
        shards(index(tmp_path, {"weight_map": {"a": name}}))


@pytest.mark.parametrize("table", [[], {}, {"weight_map": []}, {"weight_map": {"a": 1}}])
def test_what_is_no_index_is_told(table: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"model\.index\.json"):
        shards(index(tmp_path, table))
