"""Value against size: a picture where there is a trade-off to see."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from edgekd.report import tradeoff

NAMES = ("int8", "fp32-pruned", "fp32", "<b>")


def target(**changes: Any) -> dict[str, Any]:
    candidates = [
        {
            "name": name,
            "size_bytes": 1000 * 2**i,
            "value_validation": 0.9 + i / 100,
            "outside": ["drop"] if i == 0 else [],
        }
        for i, name in enumerate(NAMES)
    ]
    return {"candidates": candidates, "budget": {"wanted": None}, "shipped": "fp32", **changes}


def test_every_candidate_has_a_dot_of_its_kind_and_its_name() -> None:
    picture = ElementTree.fromstring(str(tradeoff.make(target(), 0.95)))
    dots = [dot.get("class") for dot in picture.iter("circle")]
    assert dots == ["missed", "met", "chosen", "met"]
    assert [t.text for t in picture.iter("text") if "name" in str(t.get("class"))] == list(NAMES)
    assert not [line for line in picture.iter("line") if "limit" in str(line.get("class"))]


@pytest.mark.parametrize(("wanted", "lines"), [({"max_drop": 0.01}, 1), ({"max_drop": 0.01, "max_size_kb": 4.0}, 2)])
def test_wishes_of_the_budget_are_lines(wanted: dict[str, float], lines: int) -> None:
    picture = ElementTree.fromstring(str(tradeoff.make(target(budget={"wanted": wanted}), 0.95)))
    assert len([line for line in picture.iter("line") if "limit" in str(line.get("class"))]) == lines


def test_of_few_candidates_there_is_none() -> None:
    assert tradeoff.make(target(candidates=target()["candidates"][:3]), 0.95) is None
