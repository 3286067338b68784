"""Recipes as text: what is written is read again, whatever stands in it."""

from __future__ import annotations

import datetime
import tomllib

import pytest

from edgekd.base.errors import UsageError
from edgekd.cli.starting.written import toml

TABLE = {
    "name": 'a "quoted" \\ name\n\x7f\x01 é 😀',
    "numbers": [1, -2.5, 1e-12, True, []],
    "teacher": {"model": {"kind": "x", "odd key.": {"deeper": [{"a": 1}]}}, "classes": [2, 0, 1]},
    "losses": [{"kind": "kl"}, {"kind": "cross_entropy", "weight": 0.1}],
    "compress": [],
}


def test_what_is_written_is_read_again() -> None:
    assert tomllib.loads(toml(TABLE, {}, {})) == TABLE


def test_comments_stand_behind_keys_and_below_sections() -> None:
    text = toml(TABLE, {"teacher.classes": "in order", "losses.kind": "soft"}, {"losses": ["weight = 1.0"]})
    assert tomllib.loads(text) == TABLE
    assert "classes = [2, 0, 1]" in text and "# in order" in text
    assert text.count("# soft") == 1 and text.endswith("weight = 0.1\n# weight = 1.0\n")


def test_a_comment_adds_no_table() -> None:
    """What a stranger's file calls its outputs stands in comments."""
    name = 'a\n[log]\nkind = "mod:Class"'
    text = toml(TABLE, {"teacher.classes": name}, {"losses": [name]})
    assert tomllib.loads(text) == TABLE and text.count("\\n[log]") == 2


def test_what_toml_does_not_hold_is_told() -> None:
    with pytest.raises(UsageError, match=r"no value of a recipe; found datetime"):
        toml({"a": datetime.date(2025, 1, 1)}, {}, {})
