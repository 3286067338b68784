"""The target side of a build: lower each candidate to the runtime, score it, hold it to the torch model, time it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd import qdq
from edgekd.choose import Contender
from edgekd.errors import UnavailableError
from edgekd.learn.feed import Feed
from edgekd.metrics._judge import Judge
from edgekd.plan import Candidate as Planned
from edgekd.preprocess import MASK, Inputs
from edgekd.runtime import bench, parity
from edgekd.runtime.backends import _base as backends
from edgekd.runtime.runners import Here, Machine
from edgekd.store import Store, canonical, sha256
from edgekd.target import Numerics, Target
from edgekd.veto import Profile

Scores = NDArray[np.float32]
CHUNK = 256
CLEARLY = 0.02  # share of answers that may differ from the torch model's, where that one is in no doubt


@dataclass(frozen=True)
class Exam:
    """What a candidate is examined on.

    Attributes:
        inputs: ``inputs(split, count)``: the first ``count`` model inputs of a split (None: all), in chunks.
        labels: by split; None where the data has none.
        teacher: the teacher's logits over a split.
        judge, raw: what a split's scores are measured by, and its raw samples.
    """

    inputs: Callable[[str, int | None], Iterator[Inputs]]
    labels: Mapping[str, NDArray[np.int64] | None]
    teacher: Callable[[str], Scores]
    judge: Judge
    raw: Callable[[str], NDArray[Any]]

    @classmethod
    def of(cls, feed: Feed, teacher: Callable[[str], Scores], judge: Judge) -> Exam:
        """The exam that a feed sets."""

        def inputs(split: str, count: int | None) -> Iterator[Inputs]:
            total = feed.length(split) if count is None else count
            for start in range(0, total, CHUNK):
                yield feed.inputs(split, start, min(start + CHUNK, total))

        labels = {name: feed.labels(name) for name in ("train", "validation", "test")}
        return cls(inputs, labels, teacher, judge, feed.raw)

    def value(self, split: str, scores: Scores) -> float:
        """The metric of some scores over a whole split."""
        return self.judge(scores, self.labels[split], self.teacher(split), self.raw(split))


@dataclass
class Candidate:
    """One candidate on one target, as measured; ``also``: what other backends make of its file, by backend.

    ``kernels``: what its runtime really ran of it, None where that is not told; ``onnx``: the file before lowering.
    """

    name: str
    numerics: Numerics
    pruned: bool
    files: dict[str, bytes]
    value_validation: float
    parity: dict[str, Any]
    samples_ns: list[int]
    also: dict[str, Any] = field(default_factory=dict)
    kernels: list[backends.Kernel] | None = None
    onnx: bytes = b""

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
    """

    target: Target
    candidates: dict[str, Candidate]
    host: dict[str, Any]
    runtime: str
    length: int | None = None

    def ratio(self, a: str, b: str) -> tuple[float, float, float]:
        """p50 of a over p50 of b, with its 95 % interval."""
        if a == b:
            return 1.0, 1.0, 1.0
        middle, (low, high) = bench.ratio_ci(self.candidates[a].samples, self.candidates[b].samples, seed=0)
        return middle, low, high

    def open(self, name: str) -> backends.Session:
        """A session on a candidate's files, for many samples at once."""
        return backend_of(self.target).open(self.candidates[name].files, batch=CHUNK)

    @functools.cached_property
    def profiles(self) -> dict[str, Profile]:
        """What the veto reads of each candidate; the files are parsed once."""
        floats = self.target.float_ops
        return {
            name: Profile(name, c.numerics, qdq.read(c.onnx), c.kernels, floats) for name, c in self.candidates.items()
        }

    def contenders(self) -> list[Contender]:
        """What ``choose`` needs to know."""
        return [
            Contender(c.name, c.size_bytes, c.value_validation, bench.summary(c.samples)["p50"], _parity_gap(c))
            for c in self.candidates.values()
        ]


def backend_of(target: Target) -> backends.Backend:
    """The backend of a target, or why this machine can't run it."""
    return backends.make(target.backend, dict(target.options), f"{target.name}.toml: options")


def check_target(target: Target, run: Machine | None = None) -> None:
    """Raise where a machine can't run a target: runtime missing, wrong CPU.

    ``run``: where it is measured, if not here; its CPU counts then. Accuracy is always found here, so that the runtime
    must be here, too.
    """
    missing = sorted(set(target.isa) - (run or Here()).isa())
    if missing:
        raise UnavailableError(
            "the CPU lacks what the target needs", where=target.name, found=f"no {', '.join(missing)}"
        )
    backend_of(target).check()
    for kind, options in target.also.items():
        backends.make(kind, options, f"{target.name}.toml: also.{kind}").check()


def scores(session: backends.Session, chunks: Iterable[Inputs]) -> Scores:
    """The outputs over all chunks of inputs, (N, C); those of several heads side by side."""
    names = [port.name for port in session.outputs]
    found = (session.run(chunk) for chunk in chunks)
    return np.concatenate([np.concatenate([out[name] for name in names], axis=1) for out in found]).astype(np.float32)


def run(
    target: Target,
    candidates: Sequence[Planned],
    onnx: Mapping[str, bytes],
    exam: Exam,
    of_torch: Mapping[str, Scores],
    store: Store,
    key: str,
    seconds: float = 1.0,
    run: Machine | None = None,
) -> Measured:
    """Measure every candidate of a target; an equal measurement on an equal machine is found in the store.

    Args:
        candidates: in the target's order.
        onnx: the ONNX file of each candidate, by name.
        of_torch: the torch model of each candidate on validation (fake-quantized for int8).
        key: of the measure step.
        seconds: of running time, at least, for each.
        run: where it is timed; here by default.
    """
    backend, run_ = backend_of(target), run or Here()
    files = lower_all(target, onnx)
    key = stored_key(target, files, key, run_)
    kept = store.get(key)
    if kept is None:
        tolerances = {c.name: c.numerics.tolerance for c in candidates}
        found = _measure(target, backend, files, exam, of_torch, tolerances, seconds, run_)
        kept = store.put(key, {"measured.json": canonical(found)})
    found = json.loads(kept["measured.json"])
    measured = {}
    for c in candidates:
        about = found["candidates"][c.name]
        ran = about.pop("kernels", None)
        kernels = None if ran is None else [backends.Kernel.of(kernel) for kernel in ran]
        more = {**about, "kernels": kernels, "onnx": onnx[c.name]}
        measured[c.name] = Candidate(c.name, c.numerics, c.pruned, files[c.name], **more)
    return Measured(target, measured, found["host"], backend.version(), found["length"])


def lower_all(target: Target, onnx: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """What the runtime opens, of each candidate."""
    backend = backend_of(target)
    return {name: backend.lower(data) for name, data in onnx.items()}


def stored_key(target: Target, files: Mapping[str, Mapping[str, bytes]], key: str, run: Machine) -> str:
    """The key of a measurement: its step's, the machine, and the very files."""
    facts = {**run.facts()["key"], "threads": int(target.options.get("threads", 1))}
    hashes = {name: {file: sha256(data) for file, data in found.items()} for name, found in files.items()}
    return sha256(canonical([key, facts, hashes]))


def _measure(
    target: Target,
    backend: backends.Backend,
    files: Mapping[str, dict[str, bytes]],
    exam: Exam,
    of_torch: Mapping[str, Scores],
    tolerances: Mapping[str, float],
    seconds: float,
    run: Machine,
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, data in files.items():
        session = backend.open(data, batch=CHUNK)
        got = scores(session, exam.inputs("validation", None))
        found = parity.compare(got, of_torch[name], heads=exam.judge.heads)
        result[name] = {
            "value_validation": exam.value("validation", got),
            "parity": {
                **found.as_dict(),
                "score_range": found.score_range,
                "mean": found.mean_abs_diff,
                "clearly_differs": parity.clearly_differs(got, of_torch[name], tolerances[name], exam.judge.heads),
            },
            "also": {kind: _on_another(target, kind, data, exam, got, tolerances[name]) for kind in target.also},
        }
    x = timed_inputs(next(iter(exam.inputs("validation", None))), target.shapes.batch)
    job = bench.BenchJob(
        target.backend,
        files,
        "fp32",
        x,
        options=target.options,
        batch=target.shapes.batch,
        min_seconds=seconds,
        where=target.name,
    )
    timed = run.bench(job)
    for name, samples in timed.samples.items():
        result[name]["samples_ns"] = samples.tolist()
    for name, ran in run.kernels(job, quick=seconds < 1).items():
        result[name]["kernels"] = None if ran is None else [asdict(kernel) for kernel in ran]
    length = x[MASK].shape[1] if MASK in x else None
    host_ = {**timed.host, "others": timed.others, "note": timed.note}
    return {"candidates": result, "host": host_, "length": length}


def _on_another(
    target: Target, kind: str, files: Mapping[str, bytes], exam: Exam, wanted: Scores, tolerance: float
) -> dict[str, Any]:
    """The same file on another backend, over validation, against what the target's own runtime says."""
    other = backends.make(kind, target.also[kind], f"{target.name}.toml: also.{kind}")
    got = scores(other.open(files, batch=CHUNK), exam.inputs("validation", None))
    found = parity.compare(got, wanted, heads=exam.judge.heads)
    return {
        **found.as_dict(),
        "runtime": other.version(),
        "value_validation": exam.value("validation", got),
        "clearly_differs": parity.clearly_differs(got, wanted, tolerance, exam.judge.heads),
    }


def timed_inputs(sample: Inputs, batch: int) -> Inputs:
    """What is timed: noise of the inputs' shape (kernels don't look at values); whole numbers from the data.

    Of texts the one of median length, without padding.
    """
    rng = np.random.default_rng(0)
    if MASK in sample:
        lengths = sample[MASK].sum(axis=1)
        middle = int(np.argsort(lengths, kind="stable")[len(lengths) // 2])
        sample = {name: x[middle : middle + 1, : lengths[middle]] for name, x in sample.items()}
    return {
        name: rng.standard_normal((batch, *x.shape[1:]), dtype=np.float32)
        if x.dtype.kind == "f"
        else np.resize(x[:batch], (batch, *x.shape[1:]))
        for name, x in sample.items()
    }


def _parity_gap(candidate: Candidate) -> str | None:
    """Why a candidate's file does not agree with its torch model, or None.

    A float file must agree within its tolerance. An int8 file rounds in other places than fake quantization does,
    so for it at most 2 % of the answers may differ where the torch model was in no doubt, and the scores by the
    tolerance on average.
    """
    for kind, other in candidate.also.items():
        if other["clearly_differs"] > CLEARLY:
            return f"{kind} reads the same file otherwise: {other['clearly_differs']:.1%} of the answers differ clearly"
    found = candidate.parity
    quantized = candidate.numerics.quantized
    if quantized and found["clearly_differs"] > CLEARLY:
        return f"parity: {found['clearly_differs']:.1%} of the answers differ clearly from the torch model's"
    limit = candidate.numerics.tolerance * max(found["score_range"], 1.0)
    differs = found["mean"] if quantized else found["max_abs_diff"]
    if differs is None or differs > limit:
        return f"parity: differs from the torch model by {differs}, more than {limit:.2g}"
    return None
