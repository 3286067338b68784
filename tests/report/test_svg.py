"""Scales of pictures."""

from __future__ import annotations

import pytest

from edgekd.report import svg


def test_scale_stays_inside() -> None:
    scale = svg.Scale(1.0, 100.0, log=True)
    assert scale(0.5) == 0
    assert scale(10) == pytest.approx(50)
    assert scale(1e9) == 100
    assert all(1 <= tick <= 100 for tick in scale.ticks())
