"""Value against size: a picture where there is a trade-off to see."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from _documents import CANDIDATE, TARGET

from edgekd.document.candidate import Candidate
from edgekd.document.report import Target, Wanted
from edgekd.report import tradeoff

NAMES = ("int8", "fp32-pruned", "fp32", "<b>")


def target(wanted: Wanted | None = None, count: int = len(NAMES)) -> Target:
    candidates: list[Candidate] = [
        {**CANDIDATE, "name": name, "size_bytes": 1000 * 2**i, "value_validation": 0.9 + i / 100, "outside": i == 0}
        for i, name in enumerate(NAMES[:count])
    ]
    return {**TARGET, "candidates": candidates, "budget": {"wanted": wanted, "met": True}, "shipped": "fp32"}


def test_every_candidate_has_a_dot_of_its_kind_and_its_name() -> None:
    picture = ElementTree.fromstring(str(tradeoff.make(target(), 0.95)))
    dots = [dot.get("class") for dot in picture.iter("circle")]
    assert dots == ["missed", "met", "chosen", "met"]
    assert [t.text for t in picture.iter("text") if "name" in str(t.get("class"))] == list(NAMES)
    assert not [line for line in picture.iter("line") if "limit" in str(line.get("class"))]


@pytest.mark.parametrize(("wanted", "lines"), [({"max_drop": 0.01}, 1), ({"max_drop": 0.01, "max_size_kb": 4.0}, 2)])
def test_wishes_of_the_budget_are_lines(wanted: Wanted, lines: int) -> None:
    picture = ElementTree.fromstring(str(tradeoff.make(target(wanted), 0.95)))
    assert len([line for line in picture.iter("line") if "limit" in str(line.get("class"))]) == lines


def test_of_few_candidates_there_is_none() -> None:
    assert tradeoff.make(target(count=3), 0.95) is None
