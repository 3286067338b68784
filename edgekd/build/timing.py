"""Latencies in two to six sessions some seconds apart: what one machine, minutes later, should find again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekd.base.preprocess import MASK, Inputs
from edgekd.build.evaluation import EvaluationSet
from edgekd.build.target_runtime import TargetRuntime
from edgekd.decide.choose import SESSIONS
from edgekd.runtime.bench import BenchResult, Samples, ratio_ci, summary
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.runners import BuildRunner
from edgekd.runtime.statistics import far_apart

TIMED = 256  # samples of which the one of median length is timed
CLOSE = 1.15  # of the fastest's p50: what one session's bias may turn (of 204 quick builds 30 had two so near)


@dataclass(frozen=True)
class Timed:
    """What was timed.

    Attributes:
        samples: nanoseconds by candidate, those of all sessions one after another, equally many of each.
        p50_ms: by candidate, of each session.
        result: of the last session: host, runtime, conditions.
        note: why the figures are not stable; None where they are.
    """

    samples: Mapping[str, Samples]
    p50_ms: Mapping[str, list[float]]
    result: BenchResult
    note: str | None


def job_of(
    runtime: TargetRuntime,
    files: Mapping[str, Mapping[str, bytes]],
    evaluation: EvaluationSet,
    baseline: str,
    seconds: float,
) -> BenchJob:
    """What times files of a target, each for at least so many seconds, on inputs of the shape that an app gives."""
    target = runtime.target
    whole = {spec.name for spec in evaluation.feed.specs if spec.high is not None}
    sample = evaluation.first("validation", TIMED)
    return BenchJob(
        target.backend,
        files,
        baseline,
        timed_inputs(sample, target.shapes.batch, texts=evaluation.feed.reads_texts, whole=whole),
        options=target.options,
        batch=target.shapes.batch,
        min_seconds=seconds,
        where=target.name,
    )


def timed_inputs(sample: Inputs, batch: int, *, texts: bool = True, whole: Collection[str] = ()) -> Inputs:
    """What is timed: noise of the inputs' shape (kernels don't look at values); whole numbers from the data.

    Of ``texts``, which may be of any length, the one of median length, without padding. ``whole``: the floats that hold
    whole numbers.
    """
    rng = np.random.default_rng(0)
    if texts and MASK in sample:
        lengths = sample[MASK].sum(axis=1)
        middle = int(np.argsort(lengths, kind="stable")[len(lengths) // 2])
        sample = {name: x[middle : middle + 1, : lengths[middle]] for name, x in sample.items()}
    return {
        name: rng.standard_normal((batch, *x.shape[1:]), dtype=np.float32)
        if x.dtype.kind == "f" and name not in whole
        else np.resize(x[:batch], (batch, *x.shape[1:]))
        for name, x in sample.items()
    }


def in_sessions(run: BuildRunner, job: BenchJob, between: Callable[[], None] | None = None) -> Timed:
    """Time the candidates of a job, half in one process and half in another, then in up to four more.

    A process that starts later finds other clocks, other neighbours and other places in memory: what two of them agree
    on within 15 % is quoted, else both are. A process has a bias of its own, which no interval within it knows (a BERT
    in int8 took 1.00 x the time of fp32 in two of them and 1.08 x in a third): a candidate that is neither faster nor
    slower than the baseline is timed in four more.

    Args:
        between: what is done meanwhile; None: one session, of the whole time, and another where a candidate is close
            to the fastest (a YOLO body, int8 130 us and float 151, was found at 224 and 211 in the only one).
    """
    if between is None:
        sessions = [run.bench(job)]
        if close(sessions[0]):
            sessions.append(run.bench(job))
    else:
        half = replace(job, min_samples=-(-job.min_samples // 2), min_seconds=job.min_seconds / 2)
        sessions = [run.bench(half)]
        between()
        sessions.append(run.bench(half))
        while len(sessions) < SESSIONS and undecided(sessions, job):
            sessions.append(run.bench(half))
    samples = pooled(sessions, job)
    p50 = {name: [summary(one.samples[name])["p50"] for one in sessions] for name in job.candidates}
    notes = dict.fromkeys(filter(None, [*(one.note for one in sessions), unsettled(p50)]))
    return Timed(samples, p50, sessions[-1], "; ".join(notes) or None)


def pooled(sessions: Sequence[BenchResult], job: BenchJob) -> dict[str, Samples]:
    """The samples of all sessions, by candidate."""
    return {name: np.concatenate([one.samples[name] for one in sessions]) for name in job.candidates}


def undecided(sessions: Sequence[BenchResult], job: BenchJob) -> bool:
    """Whether some candidate's time may be the baseline's, over all sessions, or is more in one and less in another."""
    samples = pooled(sessions, job)
    for name in set(job.candidates) - {job.baseline}:
        _, (low, high) = ratio_ci(samples[name], samples[job.baseline])
        slower = {bool(np.median(one.samples[name]) > np.median(one.samples[job.baseline])) for one in sessions}
        if low <= 1 <= high or len(slower) > 1:
            return True
    return False


def close(session: BenchResult) -> bool:
    """Whether a candidate of a session is within ``CLOSE`` of the fastest."""
    fastest, *others = sorted(float(np.median(samples)) for samples in session.samples.values())
    return any(p50 < CLOSE * fastest for p50 in others)


def preparing_ms(prepare: Callable[[int], object], count: int) -> float:
    """p50, in milliseconds, of preprocessing one raw sample, as ``predict`` does before it asks the runtime.

    Args:
        prepare: prepares the sample of a number, 0 to ``count`` - 1.
    """
    taken = []
    for number in range(count):
        started = time.perf_counter_ns()
        prepare(number)
        taken.append(time.perf_counter_ns() - started)
    return float(np.median(taken)) / 1e6


def unsettled(p50_ms: Mapping[str, list[float]]) -> str | None:
    """What the sessions found, where they differ by more than 15 %; None where they agree."""
    far = {name: p50s for name, p50s in p50_ms.items() if far_apart(p50s)}
    if not far:
        return None
    listed = ", ".join(f"{name} {' and '.join(f'{value:.3g}' for value in p50s)} ms" for name, p50s in far.items())
    count = len(next(iter(far.values())))
    return f"the machine is unsettled: {count} sessions some seconds apart found p50s of {listed}"
