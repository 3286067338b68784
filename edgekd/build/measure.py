"""The target side of a build: lower each candidate to the runtime, score it, hold it to the torch model, time it."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base import host, units
from edgekd.base.preprocess import MASK
from edgekd.build import timing
from edgekd.build.evaluation import EvaluationSet, Scores, joined
from edgekd.build.kept import document
from edgekd.build.plan import MeasureStep, PlannedCandidate
from edgekd.build.store import Store, canonical, sha256
from edgekd.build.target_runtime import TargetRuntime
from edgekd.decide import onnx_graph
from edgekd.decide.choose import Contender
from edgekd.decide.fallbacks import Profile
from edgekd.document import cache as documents
from edgekd.document.cache import Compared, OnAnother
from edgekd.document.kernel import Kernel
from edgekd.document.machine import Host
from edgekd.document.mixed import Mixed
from edgekd.runtime import backend as backends
from edgekd.runtime import batches, bench, parity
from edgekd.runtime.runners import BuildRunner, LocalRunner
from edgekd.spec.target import Numerics, Target

CLEARLY = 0.02  # share of answers that may differ from the torch model's, where that one is in no doubt
BATCHES = (1, 2, 7, 64)  # held against the shipped one: an app may give as many at once


@dataclass
class MeasuredCandidate:
    """One candidate on one target, as measured; ``also``: what other backends make of its file, by backend.

    ``value_ci95``, ``drop_ci95``: on validation; ``sessions_p50_ms``: of each session that it was timed in;
    ``kernels``: what its runtime really ran of it, None where that is not told; ``onnx``: the file before lowering;
    ``mixed``: which of its parts were tried in float, None where none were; ``cosine``: of vectors of an int8 or
    float16 file, the mean on validation to those of the fp32 file pruned alike; ``cuts``: ``EvaluationSet.cuts``.
    """

    name: str
    numerics: Numerics
    pruned: bool
    files: dict[str, bytes]
    value_validation: float
    parity: Compared
    samples_ns: list[int]
    sessions_p50_ms: list[float] = field(default_factory=list)
    value_ci95: list[float] = field(default_factory=list)
    drop_ci95: list[float] = field(default_factory=list)
    also: dict[str, OnAnother] = field(default_factory=dict)
    kernels: list[Kernel] | None = None
    onnx: bytes = b""
    mixed: Mixed | None = None
    cosine: float | None = None
    cuts: list[float] = field(default_factory=list)

    @property
    def samples(self) -> NDArray[np.int64]:
        """Latencies in nanoseconds, in the order they were taken."""
        return np.array(self.samples_ns, np.int64)

    @property
    def size_bytes(self) -> int:
        """Every file that the runtime opens."""
        return sum(len(data) for data in self.files.values())


@dataclass
class Measured:
    """Every candidate of one target, in the target's order, and the host they were timed on.

    ``length``: of the sequences that were timed, the validation's median; None where there are none.
    ``preprocess_ms``: p50 of preprocessing a raw sample, here and in Python; no latency holds it.
    ``exam``: what they were scored on: all samples, or fewer where one of them would take more than a minute.
    """

    runtime: TargetRuntime
    candidates: dict[str, MeasuredCandidate]
    host: Host
    evaluation: EvaluationSet
    length: int | None = None
    preprocess_ms: float = 0.0

    @property
    def target(self) -> Target:
        return self.runtime.target

    @property
    def version(self) -> str:
        """The runtime's, as it calls itself."""
        return self.runtime.backend.version()

    def ratio(self, a: str, b: str) -> tuple[float, float, float]:
        """p50 of a over p50 of b, with its 95 % interval."""
        if a == b:
            return 1.0, 1.0, 1.0
        middle, (low, high) = bench.ratio_ci(self.candidates[a].samples, self.candidates[b].samples, seed=0)
        return middle, low, high

    def open(self, name: str) -> backends.Session:
        """A session on a candidate's files, opened as an app opens it."""
        return self.runtime.open(self.candidates[name].files)

    def scores(self, name: str, split: str, count: int | None = None) -> Scores:
        """What a candidate's file says to a split, a shipped batch at a time; see ``Exam.scores``."""
        return self.evaluation.scores(self.open(name), split, self.target.shapes.batch, count)

    @functools.cached_property
    def profiles(self) -> dict[str, Profile]:
        """What the fallback analysis reads of each candidate; the files are parsed once."""
        floats = self.target.float_ops
        return {
            name: Profile(name, c.numerics, onnx_graph.read(c.onnx), c.kernels, floats)
            for name, c in self.candidates.items()
        }

    def contenders(self) -> list[Contender]:
        """What ``choose`` needs to know."""
        return [
            Contender(
                c.name,
                c.size_bytes,
                c.value_validation,
                bench.summary(c.samples)["p50"],
                parity_gap(c),
                c.sessions_p50_ms,
                c.cosine,
            )
            for c in self.candidates.values()
        ]


def run(
    step: MeasureStep,
    candidates: Sequence[PlannedCandidate],
    onnx: Mapping[str, bytes],
    evaluation: EvaluationSet,
    of_torch: Mapping[str, Scores],
    store: Store,
    seconds: float = 1.0,
    run: BuildRunner | None = None,
) -> Measured:
    """Measure every candidate of a target; an equal measurement on an equal machine is found in the store.

    Args:
        candidates: in the target's order.
        onnx: the ONNX file of each candidate, by name.
        of_torch: the torch model of each candidate on validation (fake-quantized for int8).
        seconds: of running time, at least, for each.
        run: where it is timed; here by default.
    """
    runtime, run_ = step.runtime, run or LocalRunner()
    files = lower_all(runtime, onnx)
    key = stored_key(step, files, run_)
    kept = document(store, key, "measured.json", documents.Measured)
    if kept is None or kept["candidates"].keys() != files.keys():
        measurement = canonical(_measure(runtime, files, evaluation, of_torch, candidates, seconds, run_))
        kept = cast(documents.Measured, json.loads(store.put(key, {"measured.json": measurement})["measured.json"]))
    measured = {c.name: _read(c, files[c.name], kept["candidates"][c.name], onnx[c.name]) for c in candidates}
    evaluation = evaluation.within(kept["seconds"])
    return Measured(runtime, measured, kept["host"], evaluation, kept["length"], kept["preprocess_ms"])


def _read(
    candidate: PlannedCandidate, files: dict[str, bytes], row: documents.Candidate, onnx: bytes
) -> MeasuredCandidate:
    """A candidate with what is kept of its measurement."""
    kernels = row.get("kernels")
    return MeasuredCandidate(
        candidate.name,
        candidate.numerics,
        candidate.pruned,
        files,
        value_validation=row["value_validation"],
        parity=row["parity"],
        samples_ns=row["samples_ns"],
        sessions_p50_ms=row["sessions_p50_ms"],
        value_ci95=row["value_ci95"],
        drop_ci95=row["drop_ci95"],
        cuts=row.get("cuts", []),
        also=row["also"],
        kernels=None if kernels is None else [Kernel.of(kernel) for kernel in kernels],
        onnx=onnx,
        cosine=row.get("cosine"),
    )


def lower_all(runtime: TargetRuntime, onnx: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """What the runtime opens, of each candidate."""
    return {name: runtime.backend.lower(data) for name, data in onnx.items()}


def stored_key(step: MeasureStep, files: Mapping[str, Mapping[str, bytes]], run: BuildRunner) -> str:
    """The key of a measurement: its step's, the machine, the runtimes as they call themselves, and the very files.

    A runtime need not be an installed distribution, whose version the step knows: onnxruntime-web is none.
    """
    runtime = step.runtime
    facts: list[object] = [{**run.facts()["key"], "threads": int(runtime.target.options.get("threads", 1))}]
    if not isinstance(run, LocalRunner):  # which times alone: values and parity are found here
        facts.append(host.measured_key(0))
    hashes = {name: {file: sha256(data) for file, data in lowered.items()} for name, lowered in files.items()}
    return sha256(canonical([step.key, *facts, runtime.version, hashes]))


def _measure(
    runtime: TargetRuntime,
    files: Mapping[str, dict[str, bytes]],
    evaluation: EvaluationSet,
    of_torch: Mapping[str, Scores],
    candidates: Sequence[PlannedCandidate],
    seconds: float,
    run: BuildRunner,
) -> documents.Measured:
    batch, sessions = runtime.target.shapes.batch, {name: runtime.open(data) for name, data in files.items()}
    seconds_each = max(evaluation.seconds(session, "validation", batch) for session in sessions.values())
    evaluation = evaluation.within(seconds_each)
    tolerances = {c.name: c.numerics.tolerance for c in candidates}
    result, vectors = dict[str, documents.Candidate](), dict[str, Scores]()
    for name, session in sessions.items():
        got = evaluation.scores(session, "validation", batch)
        result[name] = _scored(runtime, session, files[name], evaluation, got, of_torch[name], tolerances[name])
        if any(task.vectors for task in evaluation.evaluator.heads.tasks.values()):
            vectors[name] = got
    for name, cosine in _cosines(candidates, vectors, evaluation).items():
        result[name]["cosine"] = cosine
    job = timing.job_of(runtime, files, evaluation, "fp32", seconds)
    x = job.inputs
    quick = seconds < 1

    def look() -> None:
        for name, ran in run.kernels(job, quick=quick).items():
            result[name]["kernels"] = None if ran is None else [kernel.table for kernel in ran]

    timed = timing.in_sessions(run, job, None if quick else look)
    if quick:
        look()
    for name, samples in timed.samples.items():
        result[name] |= {"samples_ns": samples.tolist(), "sessions_p50_ms": timed.p50_ms[name]}
    length = x[MASK].shape[1] if MASK in x and evaluation.feed.reads_texts else None
    one_by_one = min(timing.TIMED, evaluation.length("validation"))
    preprocess_ms = timing.preparing_ms(lambda i: evaluation.inputs("validation", np.array([i])), one_by_one)
    return {
        "candidates": result,
        "host": {
            **timed.result.host,
            "versions": {**timed.result.host["versions"]},
            "others": timed.result.others,
            "note": timed.note,
        },
        "length": length,
        "preprocess_ms": preprocess_ms,
        "seconds": seconds_each,
    }


def _scored(
    runtime: TargetRuntime,
    session: backends.Session,
    files: Mapping[str, bytes],
    evaluation: EvaluationSet,
    got: Scores,
    of_torch: Scores,
    tolerance: float,
) -> documents.Candidate:
    """A candidate before it is timed: its value on validation, and how far it is from the torch model."""
    cuts = evaluation.cuts(got)
    ends = evaluation.intervals("validation", got, cuts)
    return {
        "value_validation": evaluation.value("validation", got, cuts),
        "value_ci95": ends["value_ci95"],
        "drop_ci95": ends["drop_ci95"],
        "cuts": cuts,
        "parity": _compared(session, evaluation, got, evaluation.of_rows("validation", of_torch), tolerance),
        "also": {kind: _on_another(runtime, kind, files, evaluation, got, tolerance) for kind in runtime.also},
        "samples_ns": [],
        "sessions_p50_ms": [],
    }


def _cosines(
    candidates: Sequence[PlannedCandidate], vectors: Mapping[str, Scores], evaluation: EvaluationSet
) -> dict[str, float]:
    """The mean cosine of each rounded candidate's vectors to those of the fp32 one that is pruned alike."""
    floats = {c.pruned: c.name for c in candidates if c.numerics.weights == "float32"}
    means = {}
    for c in (c for c in candidates if c.name in vectors and c.name not in floats.values()):
        cosine = evaluation.evaluator.heads.cosine(vectors[c.name], vectors[floats.get(c.pruned, "fp32")])
        means[c.name] = cosine if cosine is not None and np.isfinite(cosine) else 0.0  # parity tells of what is not
    return means


def _compared(
    session: backends.Session, evaluation: EvaluationSet, got: Scores, wanted: Scores, tolerance: float
) -> Compared:
    """What a session said to validation against a reference, and what it says to the same samples in other batches."""
    agreement = parity.compare(got, wanted, heads=evaluation.evaluator.heads)
    return {
        **agreement.as_dict(),
        "mean": agreement.mean_abs_diff,
        **_shares(agreement),
        "clearly_differs": parity.clearly_differs(got, wanted, tolerance, evaluation.evaluator.heads),
        "batches": _in_batches(session, evaluation, got, tolerance),
    }


def _in_batches(
    session: backends.Session, evaluation: EvaluationSet, alone: Scores, tolerance: float
) -> dict[str, documents.Batch]:
    """The first validation samples in other batches than the shipped one, against what the file said in that.

    Returns:
        By batch: ``{"max_abs_diff", "mean", "clearly_differs"}``. Kernels differ by batch, and an app may give many.
    """
    count = min(max(BATCHES), len(alone))
    rows = np.resize(np.arange(count), max(BATCHES))  # a small split fills the largest batch again and again
    by_batch: dict[str, documents.Batch] = {}
    for batch in BATCHES:
        outputs = batches.over(session, lambda index: evaluation.inputs("validation", index), rows, batch)
        agreement = parity.compare(joined(outputs), alone[rows], heads=evaluation.evaluator.heads)
        by_batch[str(batch)] = {
            "max_abs_diff": agreement.as_dict()["max_abs_diff"],
            "mean": agreement.mean_abs_diff,
            **_shares(agreement),
            "clearly_differs": parity.clearly_differs(
                joined(outputs), alone[rows], tolerance, evaluation.evaluator.heads
            ),
        }
    return by_batch


class _Shares(TypedDict):
    relative: float | None
    mean_relative: float | None


def _shares(agreement: parity.Parity) -> _Shares:
    """Differences as shares of the score range. JSON knows no infinity: such a one is None."""
    relative, mean = (x if math.isfinite(x) else None for x in (agreement.relative, agreement.mean_relative))
    return {"relative": relative, "mean_relative": mean}


def _on_another(
    runtime: TargetRuntime,
    kind: str,
    files: Mapping[str, bytes],
    evaluation: EvaluationSet,
    wanted: Scores,
    tolerance: float,
) -> OnAnother:
    """The same file on another backend, over validation, against what the target's own runtime says."""
    other, batch = runtime.also[kind], runtime.target.shapes.batch
    session = other.open(files, batch=batch)
    got = evaluation.scores(session, "validation", batch)
    return {
        **_compared(session, evaluation, got, wanted, tolerance),
        "runtime": other.version(),
        "value_validation": evaluation.value("validation", got, evaluation.cuts(got)),
    }


def parity_gap(candidate: MeasuredCandidate) -> str | None:
    """Why a candidate's file does not agree with its torch model, or None.

    A float file must agree within its tolerance. An int8 file rounds in other places than fake quantization does,
    so for it at most 2 % of the answers may differ where the torch model was in no doubt, and the scores by the
    tolerance on average.
    """
    difference = gap(candidate.parity, candidate.numerics)
    if difference is not None:
        return f"parity: {difference} the torch model's"
    for kind, other in candidate.also.items():
        if (difference := gap(other, candidate.numerics)) is not None:
            return f"{kind} reads the same file otherwise: {difference} the target's own"
    return None


def gap(compared: Compared, numerics: Numerics) -> str | None:
    """How far answers are from those of a reference, in words that go on with whose they are."""
    for batch, differences in {"": compared, **compared["batches"]}.items():
        place = f"in batches of {batch} " if batch else ""
        share = differences["clearly_differs"] or 0.0
        if numerics.quantized and share > CLEARLY:
            return f"{place}{units.share(share)} of the answers differ clearly from"
        relative = differences["mean_relative" if numerics.quantized else "relative"]
        if relative is None or relative > numerics.tolerance:
            distance = differences["mean" if numerics.quantized else "max_abs_diff"]
            more = "" if relative is None else f"{relative:.2g} of their range, more than {numerics.tolerance:g}, "
            return f"{place}scores differ by {distance}, {more}from"
    return None
