"""Notes are told once as they are found, and found again in a report."""

from __future__ import annotations

from typing import Any

from edgekd.base import notes


def test_each_note_is_an_event_of_its_own() -> None:
    events: list[dict[str, Any]] = []
    notes.tell(events.append, ["one", "two"])
    assert events == [{"step": "note", "note": "one"}, {"step": "note", "note": "two"}]


def test_a_reports_notes_are_its_own_and_its_hosts() -> None:
    assert notes.of_report({"host": {}}) == []
    assert notes.of_report({"details": {"notes": ["a"]}, "host": {"note": "a busy machine"}}) == ["a", "a busy machine"]
