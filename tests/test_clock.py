"""The clock that passes are given; what it times is made up here."""

from __future__ import annotations

import pytest
import torch

from edgekd import clock, target
from edgekd.learn.student import Student


def test_times_of_several_calls_can_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that becomes twice as slow between two calls changes nothing; known shapes are not timed again."""
    students = [Student(torch.nn.Linear(size, 1), (), ()) for size in (4, 8, 16)]
    calls: list[list[int]] = []

    def timed(target: object, students: list[Student], seconds: float, run: object) -> list[float]:
        sizes = [s.module.in_features for s in students]
        calls.append(sizes)
        return [2.0 ** len(calls) * size for size in sizes]

    monkeypatch.setattr(clock, "_timed", timed)
    tell = clock.of(target.load("ort-cpu"))
    assert tell(students[:2]) == [8.0, 16.0]
    assert tell(students) == [8.0, 16.0, 32.0] and tell(students[1:]) == [16.0, 32.0]
    assert calls == [[4, 8], [4, 16]]
