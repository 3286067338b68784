"""Notes are told once as they are found."""

from __future__ import annotations

from typing import Any

from edgekd.base import notes


def test_each_note_is_an_event_of_its_own() -> None:
    events: list[dict[str, Any]] = []
    notes.tell(events.append, ["one", "two"])
    assert events == [{"step": "note", "note": "one"}, {"step": "note", "note": "two"}]
