"""The built-in recipes as files, and a recipe to start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base import recipe_files
from edgekd.base.errors import UsageError


def test_a_recipe_can_not_be_written_where_no_folder_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        recipe_files.start(tmp_path / "nowhere" / "a.toml", "digits")
