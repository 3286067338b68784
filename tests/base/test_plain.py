"""Values of a recipe as JSON has them, and no two of them alike."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import RecipeError
from edgekd.base.plain import plain

DIFFERENT: list[Any] = [
    *(1.5, "1.5", Decimal("1.5"), float("inf"), "!float inf", "inf", None, "None", True, "True"),
    *(date(2020, 1, 1), "2020-01-01", "!date 2020-01-01", time(1), Path("a"), "a", b"a", 1j),
    *({"a": 1}, [["a", 1]], {1: "a"}, {"1": "a"}, {1, 2}, [1, 2], np.array([1, 2]), np.array([1, 2], np.uint8)),
]


def test_values_that_differ_are_spelt_differently() -> None:
    spelt = [json.dumps(plain(value), allow_nan=False) for value in DIFFERENT]
    assert len(set(spelt)) == len(DIFFERENT)


def test_lists_and_tuples_are_one_and_a_set_has_no_order() -> None:
    assert plain((1, "a")) == plain([1, "a"])
    assert plain({"b", "a", "c"}) == plain({"c", "b", "a"})


def test_what_nothing_tells_apart_is_refused_at_its_place() -> None:
    with pytest.raises(RecipeError, match=r"^model\.args\.0: no plain value; found 'function'"):
        plain({"model": {"args": [lambda: None]}})
