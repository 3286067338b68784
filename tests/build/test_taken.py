"""How much a pass took, beside what was asked."""

from __future__ import annotations

from typing import Any

from edgekd.build import taken

RECORD: dict[str, Any] = {
    "kind": "channel_prune",
    "asked": 0.3,
    "taken": 0.2857,
    "unit": "channels",
    "groups": {"body.0": {"before": 32, "asked": 22.4, "kept": 24}, "body.1": {"before": 8, "asked": None, "kept": 8}},
    "whole": {"a": "feeds what counts", "b": "feeds what counts", "c": "frozen"},
}


def test_a_sentence_says_what_was_asked_and_what_each_group_kept() -> None:
    said = taken.sentence(RECORD)
    assert said == "30.0 % asked, 28.6 % of the channels taken: body.0 24 of 32 (asked 22.4), body.1 8 of 8"
    assert taken.sentence({"kind": "int8_qat"}) is None
    assert str(taken.sentence({**RECORD, "asked": None})).startswith("28.6 % of")


def test_many_groups_are_counted_and_no_longer_listed() -> None:
    groups = {f"g{i}": {"before": 2, "asked": None, "kept": 1} for i in range(taken.LISTED + 3)}
    said = str(taken.sentence({**RECORD, "groups": groups}))
    assert said.endswith("g11 1 of 2, and 3 more")


def test_what_stays_whole_is_told_once_a_reason() -> None:
    assert taken.notes(RECORD) == [
        "channel_prune leaves a, b whole: feeds what counts",
        "channel_prune leaves c whole: frozen",
    ]
    assert taken.notes({"kind": "low_rank"}) == []


def test_a_row_of_the_report_has_every_key() -> None:
    row = taken.row("channel_prune 2", {"kind": "low_rank", "taken": 0.5, "unit": "parameters"})
    assert row == {
        "step": "channel_prune 2",
        "kind": "low_rank",
        "taken": 0.5,
        "unit": "parameters",
        **dict.fromkeys(("asked", "groups", "whole")),
    }
