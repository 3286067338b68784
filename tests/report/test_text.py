"""Numbers, units and differences as people read them."""

from __future__ import annotations

import pytest

from edgekd.report import text


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.037758, "0.0378"), (26484, "26,500"), (0, "0"), (-1.5, "−1.50"), (None, "–"), (float("nan"), "–")],
)
def test_numbers_have_three_digits(value: float | None, written: str) -> None:
    assert text.significant(value) == written
