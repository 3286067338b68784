"""TOML that a user wrote, within limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base import limits, toml_files
from edgekd.base.errors import RecipeError


def test_a_table_comes_back(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('a.b = [1, {c = "d"}]\n')
    assert toml_files.read(tmp_path / "a.toml", RecipeError) == {"a": {"b": [1, {"c": "d"}]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", r"a\.toml"),
        ("a = 0xFFFFFFFFFFFFFFFF", "more than 64 bits"),
        ("a = " + "[" * 80 + "]" * 80, r"a\.toml: .*64"),
        (".".join("a" * (limits.DEPTH + 2)) + " = 1", "names without end"),
        ("a = 1\n" * 2, r"a\.toml"),
        ("#" * (toml_files.MOST + 1), r"a\.toml"),
    ],
    ids=["no TOML", "a large number", "deep lists", "deep names", "twice", "too large"],
)
def test_what_is_refused_names_the_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        toml_files.read(tmp_path / "a.toml", RecipeError)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: can't be read"):
        toml_files.read(tmp_path / "none.toml", RecipeError)
