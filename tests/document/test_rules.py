"""What a number, a list or a text of a document may be, beyond its type."""

from __future__ import annotations

import math

import pytest

from edgekd.document.rules import Keys, Range, Some, Spelled


def test_both_ends_of_a_range_are_in_it_and_no_nan_is() -> None:
    rule = Range(0, 1)
    assert [rule.takes(value) for value in (0, 1, 0.5, -1e-9, 1.1, math.nan, math.inf)] == [True] * 3 + [False] * 4
    assert str(rule) == "0 to 1"


@pytest.mark.parametrize(("value", "takes"), [((), False), ([1], True), ({"a": 1}, True), ("", False)])
def test_some_is_one_or_more(value: list[int], takes: bool) -> None:
    assert Some().takes(value) is takes


def test_a_spelling_is_that_of_the_whole_text() -> None:
    rule = Spelled("[a-z]+", "small letters")
    assert rule.takes("abc") and not rule.takes("abc\n") and not rule.takes("") and str(rule) == "small letters"


def test_a_table_has_all_its_keys_and_no_others() -> None:
    rule = Keys(("a", "b"))
    assert rule.takes({"a": 1, "b": 2}) and not rule.takes({"a": 1}) and not rule.takes({"a": 1, "b": 2, "c": 3})
