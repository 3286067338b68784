"""What a runtime runs of a model file, kernel by kernel, alone or in turns with another: ``edgekd inspect --kernels``.

The files are a stranger's: they are looked at (``look``, ``look_ir``) and opened in a child with limits, one child a
model, so that no process holds two runtimes.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from edgekd.base import backend_facts, child, child_limits, confined, host, limits, reader
from edgekd.base.child_limits import Limits
from edgekd.base.door import open_inside
from edgekd.base.errors import EdgekdError, UnavailableError, UsageError, in_bundle
from edgekd.document.kernel import Kernel
from edgekd.document.kernel_costs import Profiled, ProfiledFile
from edgekd.runtime import backend as backends
from edgekd.runtime import batches, bench, claims, conditions, look, look_ir
from edgekd.runtime import bundle as bundles
from edgekd.runtime.backend import Array, Backend, Port, Session, check_inputs

THIS, BESIDE = "this", "beside"
LENGTHS = (128, 64, 32, 16, 16_000)  # of free axes, where none is given: the first that the model runs on
LEAST_ROUNDS, MOST_ROUNDS, ROUNDS_SECONDS = 3, 9, 8.0
MIN_SAMPLES, MIN_SECONDS = 30, 0.5
SECONDS = 600.0  # for all, where no other limit is given
NAME = 200  # characters of a kernel's name that are told
MOST_BYTES = 1 << 40  # of a file; more than the limits of the child


@dataclass(frozen=True)
class Request:
    """What is to be profiled, and how.

    Attributes:
        path: an ``.onnx``, an OpenVINO ``.xml`` or a bundle's folder.
        target: the bundle's variant; None for a lone file.
        beside: another file of the same net, or a bundle; None: none.
        threads: None: one, or a bundle's as it was built for.
        batch: None: one, or a bundle's as it was built for.
        length: of all other free axes; None: the first of ``LENGTHS`` that runs, or as a bundle's golden inputs.
    """

    path: str
    target: str | None = None
    beside: str | None = None
    threads: int | None = None
    batch: int | None = None
    length: int | None = None


@dataclass(frozen=True)
class ModelFile:
    """A model as a backend opens it; ``inputs``: golden ones of a bundle, a batch of them; none of a lone file."""

    place: str
    backend: str
    options: Mapping[str, object]
    files: Mapping[str, bytes]
    batch: int | None
    inputs: Mapping[str, Array] = field(default_factory=dict)


def targets(path: Path) -> list[str | None]:
    """The variants of a bundle; of a lone file ``[None]``.

    Raises:
        UsageError: nothing there, or a file of another kind. IntegrityError: no bundle.
    """
    if path.is_dir():
        return [variant.target for variant in bundles.read(path).variants]
    if not path.exists():
        raise UsageError("no such bundle or model file", where=str(path))
    if path.suffix not in (known := backend_facts.of_lone_files()):
        allowed = f"{', '.join(sorted(known))}, or a bundle's folder"
        raise UsageError("no file whose kernels are told", where=str(path), found=path.name, allowed=allowed)
    return [None]


def profile(request: Request, max_memory_gb: float | None = None, max_seconds: float | None = None) -> Profiled:
    """Profile in a child, whose limits are those of ``edgekd.bench``.

    Raises:
        UsageError: no such file or variant; sizes that the model does not take; two files of other inputs.
        IntegrityError: a file that is no model, or damaged. UnavailableError: no runtime here, or one that tells
            nothing. ExportError: a model that the runtime can't run.
    """
    allowed = _limits([request.path, *filter(None, [request.beside])], max_memory_gb, max_seconds)
    answer = child.ask("edgekd.runtime.profiling", asdict(request), allowed, request.path)
    return reader.check(answer, Profiled, f"{request.path}: what the child answered that profiled it")


def _limits(paths: Sequence[str], max_memory_gb: float | None, max_seconds: float | None) -> Limits:
    each = [child_limits.of(Path(path), max_memory_gb, max_seconds) for path in paths]
    both = replace(each[0], memory=each[0].memory if max_memory_gb is not None else sum(one.memory for one in each))
    if max_seconds is not None:
        return both
    return replace(both, seconds=SECONDS, cpu=both.cpu / both.seconds * SECONDS)


def profile_here(
    path: str,
    target: str | None = None,
    beside: str | None = None,
    threads: int | None = None,
    batch: int | None = None,
    length: int | None = None,
) -> Profiled:
    """The child: what ``Request`` says, in this process."""
    request = Request(path, target, beside, threads, batch, length)
    first = _read(request, Path(path), target)
    models = {THIS: first}
    if beside is not None:
        models[BESIDE] = _read_beside(request, Path(beside), first)
    confined.at(f"opening it on {first.backend}")
    where = "options" if target is None else f"{target}: options"
    backend = backends.make(first.backend, dict(first.options), where)
    sessions = {name: backend.open(model.files, model.batch) for name, model in models.items()}
    inputs = _inputs(sessions[THIS], first, length)
    fed = {name: _renamed(session, inputs, models[name].place) for name, session in sessions.items()}
    confined.at(f"running it on {first.backend}")
    with conditions.watched() as observed:
        samples = bench.measure(
            {name: _Fed(session, fed[name]) for name, session in sessions.items()},
            inputs,
            baseline=THIS,
            min_samples=MIN_SAMPLES,
            min_seconds=MIN_SECONDS,
        )
        rounds = _in_turns(backend, models, fed)
    ratio, ci95 = (None, None) if beside is None else bench.ratio_ci(samples[THIS], samples[BESIDE])
    files: list[ProfiledFile] = [
        {
            "file": model.place,
            "bytes": sum(map(len, model.files.values())),
            "p50_ms": bench.summary(samples[name])["p50"],
            "kernels": [replace(kernel, name=kernel.name[:NAME]).table for kernel in medians(rounds[name])],
        }
        for name, model in models.items()
    ]
    threads_used = first.options.get("threads", getattr(backend, "threads", None))
    return {
        "backend": first.backend,
        "runtime": backend.version(),
        "threads": threads_used if isinstance(threads_used, int) else None,
        "inputs": {name: list(array.shape) for name, array in inputs.items()},
        "rounds": len(rounds[THIS]),
        "files": files,
        "ratio": ratio,
        "ci95": None if ci95 is None else list(ci95),
        "note": "; ".join(conditions.doubts(observed(), samples[THIS])) or None,
    }


def _read(request: Request, path: Path, target: str | None) -> ModelFile:
    """A lone file, or a bundle's variant, looked at as every stranger's file is."""
    if not path.is_dir():
        targets(path)
        options = {"threads": request.threads or 1}
        kind = backend_facts.of_lone_files()[path.suffix]
        return ModelFile(str(path), kind, options, _lone(path), request.batch)
    bundle = bundles.read(path)
    names = [variant.target for variant in bundle.variants]
    if target not in names:
        raise UsageError("no such variant in this bundle", where=str(path), found=target, allowed=names)
    variant = bundle.variant(str(target))
    host.check_isa(variant.isa, variant.target)
    options = {**variant.options, **({} if request.threads is None else {"threads": request.threads})}
    with in_bundle():
        files = bundle.files_of(variant)
        claims.hold_files(bundle, variant, files)
        batch = request.batch or variant.batch
        golden = batches.filled(bundle.golden_of(variant)[0], batch, f"{path}: {target}")
    return ModelFile(f"{path}: {target}", variant.backend, options, files, batch, golden)


def _read_beside(request: Request, path: Path, first: ModelFile) -> ModelFile:
    """The other file: a variant of the same backend of a bundle; else any that the first one's backend opens."""
    where = f"--beside {path}"
    if path.is_dir():
        fitting = [v.target for v in bundles.read(path).variants if v.backend == first.backend]
        if not fitting:
            raise UsageError("no variant of the same backend", where=where, allowed=first.backend)
        chosen = request.target if request.target in fitting else fitting[0]
        return replace(_read(request, path, chosen), options=first.options)
    targets(path)
    if path.suffix not in backend_facts.of(first.backend).suffixes:
        allowed = f"a file that {first.backend} opens, as it does {first.place}"
        raise UsageError("a file of another runtime", where=where, found=path.name, allowed=allowed)
    return replace(first, place=str(path), files=_lone(path), inputs={})


def _lone(path: Path) -> dict[str, bytes]:
    """A file, and the weights beside it; looked at."""
    real = path.resolve()
    confined.at(f"reading {path}")
    files = {real.name: open_inside(real.parent, real.name, MOST_BYTES)}
    if path.suffix == ".onnx":
        look.check(files[real.name], str(path))
        return files
    weights = real.with_suffix(".bin")
    if not weights.is_file():
        raise UsageError("no weights beside it", where=str(path), allowed=weights.name)
    files[weights.name] = open_inside(weights.parent, weights.name, MOST_BYTES)
    look_ir.check(files[real.name], files[weights.name], str(path))
    return files


def _inputs(session: Session, model: ModelFile, length: int | None) -> dict[str, Array]:
    """Golden inputs; else noise of the inputs' shapes, free axes filled in, on which the model runs."""
    if model.inputs and length is None:
        return dict(model.inputs)
    _check_batch(session, model)
    free = any(size is None for port in session.inputs for size in port.shape[1:])
    reasons: list[str] = []
    for size in (length,) if length is not None else LENGTHS if free else LENGTHS[:1]:
        try:
            noise = {port.name: _noise(port, model.batch or 1, size) for port in session.inputs}
            session.run(noise)
        except EdgekdError as err:
            reasons.append(err.message)
        else:
            return noise
    hint = "--length N: the size of the axes that are free" if free else None
    raise UsageError(f"does not run on inputs that are made up: {reasons[0]}", where=model.place, hint=hint)


def _check_batch(session: Session, model: ModelFile) -> None:
    """Raise UsageError where a model of a fixed batch is asked for another one."""
    for port in session.inputs:
        if port.shape and model.batch is not None and port.shape[0] not in (None, model.batch):
            raise UsageError(
                "the model takes a fixed number of samples at once",
                where=f"--batch: input {port.name!r} of {model.place}",
                found=model.batch,
                allowed=str(port.shape[0]),
            )


def _noise(port: Port, batch: int, length: int) -> Array:
    """Kernels don't look at values, but at indices: whole numbers are ones (masks hide nothing), types of tokens zeros.

    Raises:
        UsageError: the array would be larger than any.
    """
    sizes = [size or length for size in port.shape]
    if port.shape and port.shape[0] is None:
        sizes[0] = batch
    if math.prod(sizes) > limits.BATCH_NUMBERS:
        raise UsageError("an input larger than any", where=port.name, found=sizes, allowed=f"{limits.BATCH_NUMBERS:,}")
    if np.dtype(port.dtype).kind == "f":
        return np.random.default_rng(0).standard_normal(sizes, dtype=np.float32).astype(port.dtype)
    return np.full(sizes, 0 if "type" in port.name else 1, port.dtype)


def _renamed(session: Session, inputs: Mapping[str, Array], place: str) -> dict[str, Array]:
    """The same arrays by the names of another session of the same net.

    Raises:
        UsageError: it takes other inputs.
    """
    names = [port.name for port in session.inputs]
    if {*names} == {*inputs}:
        names = list(inputs)
    renamed = dict(zip(names, inputs.values(), strict=False))
    try:
        check_inputs(session.inputs, renamed)
    except UsageError as err:
        wanted = {name: (array.shape, str(array.dtype)) for name, array in inputs.items()}
        raise UsageError(
            "takes other inputs than the first file", where=place, found=err.found, allowed=str(wanted)
        ) from err
    return renamed


class _Fed:
    """A session that always gets the same arrays, whatever its inputs are called."""

    def __init__(self, session: Session, arrays: Mapping[str, Array]) -> None:
        self.inputs, self.outputs = session.inputs, session.outputs
        self._session, self._arrays = session, arrays

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return self._session.run(self._arrays)

    def fork(self) -> Session:
        return _Fed(self._session.fork(), self._arrays)


def _in_turns(
    backend: Backend, models: Mapping[str, ModelFile], fed: Mapping[str, Mapping[str, Array]]
) -> dict[str, list[list[Kernel]]]:
    """Each model's kernels in every round; the models take turns.

    Raises:
        UnavailableError: the runtime does not tell.
    """
    rounds: dict[str, list[list[Kernel]]] = {name: [] for name in models}
    began = time.monotonic()
    for count in range(MOST_ROUNDS):
        if count >= LEAST_ROUNDS and time.monotonic() - began > ROUNDS_SECONDS:
            break
        for name, model in models.items():
            confined.alive()
            kernels = backends.kernels(backend, model.files, fed[name])
            if not kernels:
                raise UnavailableError(
                    "this runtime does not tell what it runs", where=model.place, found=model.backend
                )
            rounds[name].append(kernels)
    return rounds


def medians(rounds: Sequence[Sequence[Kernel]]) -> list[Kernel]:
    """The kernels of the first round, each with the median of its microseconds in all rounds that have it.

    A runtime that times its kernels when it compiles may choose others in another round.
    """
    taken: dict[tuple[str, int], list[float]] = {}
    for kernels in rounds:
        for key, kernel in _numbered(kernels).items():
            taken.setdefault(key, []).append(kernel.microseconds or 0.0)
    return [
        replace(kernel, microseconds=round(statistics.median(taken[key]), 1))
        for key, kernel in _numbered(rounds[0]).items()
    ]


def _numbered(kernels: Sequence[Kernel]) -> dict[tuple[str, int], Kernel]:
    """By name, and the how manyth of that name it is."""
    numbered: dict[tuple[str, int], Kernel] = {}
    for kernel in kernels:
        number = 0
        while (kernel.name, number) in numbered:
            number += 1
        numbered[kernel.name, number] = kernel
    return numbered


if __name__ == "__main__":
    sys.exit(confined.serve(profile_here))
