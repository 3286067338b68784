"""What a user should read before trusting a build is seen: on the console, in the report, on its page and card."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _documents import golden_report
from rich.console import Console

from edgekd import report
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.prepare import Objects
from edgekd.cli import console
from edgekd.document.report import Report
from edgekd.learn.data.digits import Digits
from edgekd.report.markdown import escaped

NOTE = "7 of 4,000 <pictures> of the class [b]cat[/b] were left out"


@pytest.fixture
def document() -> Report:
    golden = golden_report()
    return {**golden, "details": {**golden["details"], "notes": [NOTE]}}


def test_the_page_and_the_card_hold_each_note(document: Report) -> None:
    document["host"]["note"] = "the machine was busy"
    page = report.html(document, {})
    assert NOTE.replace("<", "&lt;").replace(">", "&gt;") in page and "the machine was busy" in page
    assert f"- {escaped(NOTE)}." in report.readme(document, "picture", "8 x 8", {"label": ["a", "b"]}, ())


def test_a_build_ends_with_its_notes(document: Report, tmp_path: Path) -> None:
    screen = Console(width=200, file=io.StringIO(), markup=False)
    with screen.capture() as shown:
        screen.print(console.build_table(document, tmp_path, cached=True))
    assert f"note: {NOTE}" in shown.get()


def test_a_note_of_the_data_is_told_before_anything_trains(capfd: pytest.CaptureFixture[str]) -> None:
    events: list[dict[str, Any]] = []
    order = requests.make("digits", ["ort-cpu"], progress=events.append)
    workspace = running.checked(order, Objects(dataset=replace(Digits().load(), notes=(NOTE,))))
    assert workspace.notes == (NOTE,)
    (event,) = (event for event in events if "note" in event)
    console.ProgressBars()(event)
    assert f"note: {NOTE}" in capfd.readouterr().err
