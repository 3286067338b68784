"""A trial's point: which keys of it act."""

from __future__ import annotations

from edgekd.document import points


def test_a_table_that_is_left_out_takes_its_keys_along() -> None:
    point = {
        "compress.1": False,
        "compress.1.ratio": 0.3,
        "compress.10.ratio": 0.5,
        "losses.0": True,
        "losses.0.weight": 1,
    }
    assert points.acting(point) == {k: v for k, v in point.items() if k != "compress.1.ratio"}


def test_only_a_whole_entry_of_a_list_can_be_left_out() -> None:
    assert points.is_entry("compress.1") and points.is_entry("losses.0")
    assert not any(map(points.is_entry, ("compress", "compress.1.ratio", "student.1", "compress.x")))
    assert points.acting({"student": False, "student.width": 8}) == {"student": False, "student.width": 8}
