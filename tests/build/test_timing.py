"""Two sessions some seconds apart: what they agree on is quoted, else both are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from _documents import MACHINE

from edgekd.build import timing
from edgekd.runtime.bench import BenchResult
from edgekd.runtime.conditions import Conditions
from edgekd.runtime.jobs import BenchJob


class Machine:
    """Finds what it is told to, session after session."""

    def __init__(self, *p50_us: tuple[int, int]) -> None:
        self.p50_us = list(p50_us)
        self.jobs: list[BenchJob] = []

    def bench(self, job: BenchJob) -> BenchResult:
        fp32, int8 = self.p50_us[len(self.jobs)]
        self.jobs.append(job)
        samples = {"fp32": np.full(job.min_samples, fp32 * 1000), "int8": np.full(job.min_samples, int8 * 1000)}
        unknown: dict[str, Any] = dict.fromkeys(Conditions.__dataclass_fields__)
        quiet = Conditions(**unknown)
        return BenchResult(samples, "runtime 1", MACHINE, quiet, None)


JOB = BenchJob("ort", {"fp32": {}, "int8": {}}, "fp32", {}, min_samples=100, min_seconds=1.0)


@pytest.mark.parametrize(
    ("second", "note"),
    [
        ((104, 50), None),
        ((114, 50), None),
        ((116, 50), "the machine is unsettled: 2 sessions some seconds apart found p50s of fp32 0.1 and 0.116 ms"),
        ((70, 60), "fp32 0.1 and 0.07 ms, int8 0.05 and 0.06 ms"),
    ],
)
def test_both_are_told(second: tuple[int, int], note: str | None) -> None:
    machine, meanwhile = Machine((100, 50), second), []
    found = timing.in_sessions(machine, JOB, lambda: meanwhile.append(len(machine.jobs)))  # type: ignore[arg-type]
    assert found.note is None if note is None else note in str(found.note)
    assert found.p50_ms == {"fp32": [0.1, second[0] / 1000], "int8": [0.05, second[1] / 1000]}
    assert {name: len(samples) for name, samples in found.samples.items()} == {"fp32": 100, "int8": 100}
    assert meanwhile == [1] and [job.min_seconds for job in machine.jobs] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("later", "sessions"),
    [
        ([(100, 99), *[(100, 108)] * 4], 6),  # faster in one and slower in another
        ([(100, 100), (100, 50), (100, 50)], 3),  # equal in one, then clearly faster
        ([(100, 110), *[(100, 120)] * 4], 6),  # so far one of each
        ([(100, 98), (100, 98), (100, 98)], 2),  # each time a little faster
    ],
)
def test_more_where_it_is_not_clear(later: list[tuple[int, int]], sessions: int) -> None:
    machine: Any = Machine((100, 100 if later[0][1] == 99 else 95), *later)
    found = timing.in_sessions(machine, JOB, lambda: None)
    assert len(machine.jobs) == len(found.p50_ms["int8"]) == sessions
    assert len(found.samples["int8"]) == len(found.samples["fp32"]) == 50 * sessions


@pytest.mark.parametrize(("first", "sessions"), [((100, 50), 1), ((100, 86), 1), ((100, 90), 2), ((90, 100), 2)])
def test_one_session_where_nothing_is_done_meanwhile_and_another_of_close_ones(
    first: tuple[int, int], sessions: int
) -> None:
    machine: Any = Machine(first, (100, 50))
    found = timing.in_sessions(machine, JOB)
    assert machine.jobs == [JOB] * sessions
    assert found.p50_ms["int8"] == [first[1] / 1000, 0.05][:sessions]
    assert len(found.samples["int8"]) == len(found.samples["fp32"]) == 100 * sessions
