"""What a manifest may hold: each check names the place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgekd.base.errors import IntegrityError
from edgekd.runtime import _checks as checks


@pytest.mark.parametrize("name", ["a", "a/b.onnx", "ort-cpu/model.onnx", "é", "x" * checks.LONGEST])
def test_relative_paths_inside_the_bundle(name: str) -> None:
    checks.check_path(name, "files")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "/a",
        "../a",
        "a/../b",
        "a//b",
        "./a",
        "a/",
        "a\\b",
        "c:a",
        "a\nb",
        "\u202ea",
        "x" * (checks.LONGEST + 1),
    ],
)
def test_other_spellings_and_places(name: str) -> None:
    with pytest.raises(IntegrityError, match="files: "):
        checks.check_path(name, "files")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.table_at, {}, [[], None, 1]),
        (checks.listed, [], [{}, "ab", None]),
        (checks.texts, ["a"], ["a", [1], {}]),
        (checks.wholes, [1, checks.MOST], [[0], [True], [1.0], [checks.MOST + 1], "1"]),
    ],
)
def test_types_are_what_they_are_called(check: Callable[[Any, str], Any], good: Any, bad: list[Any]) -> None:
    assert check(good, "there") == good
    for value in bad:
        with pytest.raises(IntegrityError, match=r"^there: not a"):
            check(value, "there")


def test_a_table_has_all_its_keys_and_no_others() -> None:
    checks.keys({"a": 1, "b": 2}, ("a", "b"), "there")
    with pytest.raises(IntegrityError, match="unknown key; found 'c'"):
        checks.keys({"a": 1, "b": 2, "c": 3}, ("a", "b"), "there")
    with pytest.raises(IntegrityError, match="a key is missing"):
        checks.keys({"a": 1}, ("a", "b"), "there")
