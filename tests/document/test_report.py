"""A report says its notes, and whether its parts fit each other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from _documents import REPORT, golden_report

from edgekd.document.report import contradictions, notes_of


def test_a_reports_notes_are_its_own_and_its_hosts() -> None:
    assert notes_of(REPORT) == []
    noted = notes_of({**REPORT, "details": {"notes": ["a"]}, "host": {"note": "a busy machine"}})
    assert noted == ["a", "a busy machine"]


def test_what_a_build_writes_contradicts_nothing() -> None:
    assert list(contradictions(golden_report())) == list(contradictions(REPORT)) == []


def unequal(details: Any) -> None:
    details["agreement"]["teacher"].pop()


def beyond(details: Any) -> None:
    details["agreement"]["pairs"] = [[0, 10, 1]]


def narrow(details: Any) -> None:
    details["agreement"]["confusion"][3].pop()


def of_another_head(details: Any) -> None:
    head = {"classes": ["a", "b"], "teacher": [1.0, 1.0], "student": [1.0], "agree": [1.0, 1.0]}
    details["agreement"]["others"] = {"half": head}


def empty(details: Any) -> None:
    for one in details["learned"]["calibration"][0]["student"]["bins"]:
        one["count"] = 0


def alike(details: Any) -> None:
    details["learned"]["layers"]["cka"][0].pop()


def unknown(details: Any) -> None:
    details["learned"]["losses"]["rows"][0] |= {"gain": None, "ci95": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (unequal, "details.agreement.teacher"),
        (beyond, "details.agreement.pairs"),
        (narrow, "details.agreement.confusion"),
        (of_another_head, "details.agreement.others.half.student"),
        (empty, "details.learned.calibration[0].student.bins"),
        (alike, "details.learned.layers.cka"),
        (unknown, "details.learned.losses.rows[0].gain"),
    ],
)
def test_parts_that_do_not_fit_are_named(change: Callable[[Any], None], place: str) -> None:
    report = copy.deepcopy(golden_report())
    change(report["details"])
    assert [found for found, _ in contradictions(report)] == [place]
