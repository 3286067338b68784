"""Statistics and bookkeeping. How long things take is for benchmarks/, not for tests."""

from __future__ import annotations

import gc
import itertools
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekd.base import errors
from edgekd.base.errors import EdgekdError, IntegrityError, ResourceError, TargetError, UnavailableError, UsageError
from edgekd.runtime import bench
from edgekd.runtime.backend import Array, Port, Session
from edgekd.runtime.bench import bench_in_process, bench_in_subprocess, measure, ratio_ci, summary
from edgekd.runtime.jobs import BenchJob

SAMPLES = arrays(np.int64, st.integers(2, 300), elements=st.integers(1, 10**9))
MODEL = onnx.parser.parse_model("""
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x) => (float[N, 3] y)
{ y = Relu(x) }
""").SerializeToString()
X = {"x": np.zeros((1, 3), np.float32)}


class Recorder:
    """A session that writes down when it ran, and whether garbage could have been collected."""

    inputs: tuple[Port, ...] = (Port("x", (None, 3), "float32"),)
    outputs: tuple[Port, ...] = inputs

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self.log.append(self.name + ("!" if gc.isenabled() else ""))
        return {}

    def fork(self) -> Session:
        return self


def job(**changes: object) -> BenchJob:
    table = {
        "backend": "ort",
        "candidates": {"fp32": {"model.onnx": MODEL}, "../int8": {"model.onnx": MODEL}},
        "baseline": "fp32",
        "inputs": X,
        "min_samples": 20,
        "min_seconds": 0.0,
    }
    return BenchJob(**{**table, **changes})  # type: ignore[arg-type]


# measure


def test_candidates_take_turns_and_none_always_follows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MAX_BLOCK", 3)
    monkeypatch.setattr(bench, "_warm_up", lambda run, most: 1.0)
    logs: list[list[str]] = [[], []]
    names = ["a", "base", "b"]
    for log in logs:
        sessions = {name: Recorder(name, log) for name in names}
        found = measure(sessions, X, baseline="base", min_samples=180, min_seconds=0)
        assert {name: len(samples) for name, samples in found.items()} == {"base": 180, "a": 180, "b": 180}
    assert logs[0] == logs[1]
    assert logs[0][:3] == ["base!", "a!", "b!"]
    blocks = [logs[0][i : i + 4] for i in range(3, len(logs[0]), 4)]  # one run that is not timed, three that are
    assert all(len(set(block)) == 1 for block in blocks)
    order = [block[0] for block in blocks]
    assert all(sorted(order[i : i + 3]) == sorted(names) for i in range(0, len(order), 3)), "each once a turn"
    follows = Counter(pair for pair in itertools.pairwise(order) if pair[0] != pair[1])
    assert len(follows) == 6 and min(follows.values()) > 10, "of 60 turns"
    assert all(samples.dtype == np.int64 and samples.min() >= 0 for samples in found.values())


@pytest.mark.parametrize("was_on", [True, False])
def test_garbage_collection_is_as_before(was_on: bool) -> None:
    class Broken(Recorder):
        def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
            if not gc.isenabled() and len(self.log) > 50:
                raise UsageError("enough")
            return super().run(arrays)

    before = gc.isenabled()
    try:
        gc.enable() if was_on else gc.disable()
        with pytest.raises(UsageError, match="enough"):
            measure({"a": Broken("a", [])}, X, baseline="a")
        assert gc.isenabled() == was_on
    finally:
        gc.enable() if before else gc.disable()


def test_warm_up_ends_when_two_windows_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    medians = iter([900, 500, 400, 399, 398, 1])
    monkeypatch.setattr(bench, "_block", lambda run, size: [next(medians)])
    assert bench._warm_up(lambda: 0, 3.0) == 398


def test_warm_up_of_what_never_settles_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_block", lambda run, size: [7])
    assert bench._warm_up(lambda: 0, 0.0) == 7


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 0.05), (0.1, 0.6), (1.0, 3.0), (60.0, 3.0)])
def test_a_warm_up_takes_no_longer_than_a_few_times_what_is_timed(
    monkeypatch: pytest.MonkeyPatch, seconds: float, most: float
) -> None:
    """On a busy machine no two windows agree."""
    given: list[float] = []

    def warm_up(run: object, most: float) -> float:
        given.append(most)
        return 1e9

    monkeypatch.setattr(bench, "_warm_up", warm_up)
    monkeypatch.setattr(bench, "runner", lambda session, inputs: lambda: 10_000_000_000)
    measure({"a": Recorder("a", [])}, X, baseline="a", min_samples=1, min_seconds=seconds)
    assert given == [pytest.approx(most)]


def test_an_unknown_baseline_is_told() -> None:
    with pytest.raises(UsageError, match="found 'fp23'; allowed: fp32; did you mean 'fp32'"):
        measure({"fp32": Recorder("fp32", [])}, X, baseline="fp23")


# statistics


@given(SAMPLES)
def test_summary_against_the_standard_library(samples: np.ndarray) -> None:
    found = summary(samples)
    ms = [int(value) / 1e6 for value in samples]
    assert list(found) == ["p50", "p90", "p95", "p99", "mean", "std", "min", "max"]
    cuts = statistics.quantiles(ms, n=100, method="inclusive")
    percentiles = [found["p50"], found["p90"], found["p95"], found["p99"]]
    assert percentiles == pytest.approx([cuts[at] for at in (49, 89, 94, 98)])
    assert found["mean"] == pytest.approx(statistics.fmean(ms))
    assert found["std"] == pytest.approx(statistics.pstdev(ms), abs=1e-6)
    assert (found["min"], found["max"]) == (min(ms), max(ms))


@settings(max_examples=25, deadline=None)
@given(SAMPLES, st.integers(0, 9))
def test_a_ratio_with_itself_is_one(samples: np.ndarray, seed: int) -> None:
    assert ratio_ci(samples, samples, seed) == (1.0, (1.0, 1.0))


@settings(max_examples=25, deadline=None)
@given(SAMPLES, st.integers(2, 9))
def test_a_ratio_scales_with_its_samples(samples: np.ndarray, factor: int) -> None:
    ratio, (low, high) = ratio_ci(samples * factor, samples)
    assert (ratio, low, high) == pytest.approx((factor, factor, factor))


@settings(max_examples=25, deadline=None)
@given(st.data(), SAMPLES)
def test_the_interval_holds_the_ratio_and_depends_on_the_seed_alone(data: st.DataObject, a: np.ndarray) -> None:
    b = data.draw(arrays(np.int64, len(a), elements=st.integers(1, 10**9)))
    ratio, (low, high) = ratio_ci(a, b, 1)
    assert 0 < low <= ratio <= high
    assert ratio == pytest.approx(np.median(a) / np.median(b))
    assert ratio_ci(a, b, 1) == (ratio, (low, high))


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    """Noise with a heavy tail and a drift that both sides share."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        drift = 1 + 0.3 * np.sin(np.linspace(0, 7, 1000))
        a, b = (drift * scale * (1 + 0.1 * rng.lognormal(size=1000)) for scale in (2e5, 1e5))
        low, high = ratio_ci(a.astype(np.int64), b.astype(np.int64), trial)[1]
        covered += low <= 2 <= high
    assert 180 <= covered <= 200


@pytest.mark.parametrize(("a", "b"), [(1, 1), (5, 6), (0, 0)])
def test_too_few_or_unequal_samples_are_told(a: int, b: int) -> None:
    with pytest.raises(UsageError, match="two equal numbers"):
        ratio_ci(np.ones(a, np.int64), np.ones(b, np.int64))


# jobs


def test_a_job_in_a_subprocess_is_the_job_here() -> None:
    """The same candidates, of any name, and only the runtime loaded."""
    here, there = bench_in_process(job()), bench_in_subprocess(job())
    for result in (here, there):
        assert set(result.samples) == {"fp32", "../int8"}
        sizes = {len(samples) for samples in result.samples.values()}
        assert len(sizes) == 1
        assert sizes.pop() >= 20
        assert result.host["cpu"]
    assert here.runtime == there.runtime
    assert list(there.samples) == list(here.samples)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"backend": "otr"}, TargetError, "did you mean 'ort'"),
        ({"options": {"provider": "X"}}, UnavailableError, "no such provider; found 'X'"),
        ({"candidates": {"fp32": {"model.onnx": b"junk"}}}, IntegrityError, "no ONNX model"),
        ({"inputs": {"y": X["x"]}}, UsageError, "unknown input; found 'y'"),
        ({"baseline": "int4"}, UsageError, "no such candidate"),
    ],
)
def test_an_error_of_the_child_is_raised_here(
    changes: dict[str, object], error: type[EdgekdError], message: str
) -> None:
    with pytest.raises(error, match=message):
        bench_in_subprocess(job(**changes))


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (
            "import sys; print('driver', 'exploded', file=sys.stderr); sys.exit(7)",
            EdgekdError,
            "with 7: driver exploded",
        ),
        ("import os; os.kill(os.getpid(), 9)", ResourceError, "with -9: it wrote nothing"),
    ],
)
def test_a_crash_of_the_child_is_told(
    monkeypatch: pytest.MonkeyPatch, script: str, error: type[EdgekdError], message: str
) -> None:
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **kwargs: start([sys.executable, "-c", script], **kwargs))
    with pytest.raises(error, match=message):
        bench_in_subprocess(job())


def test_every_error_can_come_back_from_a_child() -> None:
    for name in ("UsageError", "TargetError", "ExportError", "UnavailableError", "IntegrityError", "ResourceError"):
        assert str(getattr(errors, name)("what")) == "what"


def test_a_fast_one_does_not_wait_for_its_seconds_beside_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {"slow": 200_000_000, "fast": 200_000}
    sessions: dict[str, Any] = {name: name for name in took}
    monkeypatch.setattr(bench, "_warm_up", lambda run, most: 1e9)
    monkeypatch.setattr(bench, "runner", lambda session, inputs: lambda: took[session])
    both = measure(sessions, X, baseline="slow", min_samples=10, min_seconds=1.0)
    assert len(both["slow"]) == len(both["fast"]) == 100, "20 times one second, not the 5,000 runs of the fast one"
    alone = measure({"fast": sessions["fast"]}, X, baseline="fast", min_samples=10, min_seconds=1.0)
    assert alone["fast"].sum() >= 1e9
