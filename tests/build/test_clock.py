"""The clock that passes are given; what it times is made up, but for the last."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekd.build import clock, target_runtime
from edgekd.learn.student import Student, TensorSpec
from edgekd.spec import target


def test_times_of_several_calls_can_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that becomes twice as slow between two calls changes nothing; known shapes are not timed again."""
    students = [Student(torch.nn.Linear(size, 1), (), ()) for size in (4, 8, 16)]
    calls: list[list[int]] = []

    def timed(target: object, students: list[Student], seconds: float, run: object) -> list[float]:
        sizes = [int(s.module.get_parameter("weight").shape[1]) for s in students]
        calls.append(sizes)
        return [2.0 ** len(calls) * size for size in sizes]

    monkeypatch.setattr(clock, "_timed", timed)
    tell = clock.of(target_runtime.parse(target.load("ort-cpu")))
    assert tell(students[:2]) == [8.0, 16.0]
    assert tell(students) == [8.0, 16.0, 32.0] and tell(students[1:]) == [16.0, 32.0]
    assert calls == [[4, 8], [4, 16]]


def test_students_are_timed_on_their_target() -> None:
    given, answered = (TensorSpec("input", (None, 4), "float32"),), (TensorSpec("logits", (None, 3), "float32"),)
    students = [Student(nn.Sequential(nn.Linear(4, size), nn.Linear(size, 3)), given, answered) for size in (4, 8)]
    taken = clock.of(target_runtime.parse(target.load("ort-cpu")), 0.02)(students)
    assert len(taken) == 2 and min(taken) > 0
