"""Where the built-in targets stand, read as plain tables without pydantic."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base import target_files
from edgekd.base.errors import TargetError


def test_every_target_is_read_under_its_files_name() -> None:
    names = target_files.names()
    assert {"ort-cpu", "openvino"} <= set(names) and names == sorted(names)
    for name in names:
        table = target_files.read(target_files.folder() / f"{name}.toml")
        assert table["name"] == name and "backend" in table


def test_a_target_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"none\.toml"):
        target_files.read(tmp_path / "none.toml")
