"""What moves a figure is told; what does not is not."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgekd.base import host
from edgekd.runtime import conditions
from edgekd.runtime.conditions import Conditions

CALM = Conditions(others=0.02, stolen=0.0, celsius=(40.0, 45.0), seconds=1.0)
EVEN = np.full(100, 1000, np.int64)


def test_a_calm_machine_is_stable_and_one_that_tells_nothing_is_not_doubted() -> None:
    assert conditions.doubts(CALM, EVEN) == []
    assert conditions.doubts(Conditions(), EVEN) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Conditions(others=0.7), "other processes used 0.7 of"),
        (Conditions(stolen=0.25), "took 25 % of the time away"),
    ],
)
def test_others_and_the_hypervisor_are_told(found: Conditions, said: str) -> None:
    (doubt,) = conditions.doubts(found, EVEN)
    assert said in doubt


def test_a_device_that_throttles() -> None:
    slower = np.concatenate([EVEN, EVEN * 3 // 2])
    (doubt,) = conditions.doubts(Conditions(celsius=(45.0, 88.0)), slower)
    assert doubt == "it throttles: the last quarter took 1.50 times as long as the first, 88 °C"
    assert conditions.doubts(CALM, slower[::-1]) == [], "it became faster: that was the warm-up"


def test_the_work_of_others_is_seen_and_ones_own_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter([100.0, 101.0])
    monkeypatch.setattr(host, "busy_seconds", lambda: next(counted))
    monkeypatch.setattr(host, "stolen_seconds", lambda: None)
    with conditions.watched() as told:
        time.sleep(0.5)
    found = told()
    assert found.others is not None and 1.5 < found.others <= 2.1
    assert found.stolen is None and found.seconds >= 0.5


def test_the_system_is_read_without_harm() -> None:
    for value in (host.celsius(), host.megahertz(), host.joules(), host.stolen_seconds()):
        assert value is None or value >= 0
