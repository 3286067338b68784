"""What a backend is: ONNX bytes in, files out, a session on the files.

A backend is a frozen dataclass; its fields are the keys of a target's ``options``. It imports its runtime inside
its ``backend.py``, and nobody imports that file unless the runtime is asked for.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgekd.base import backend_facts, confined, plugins
from edgekd.base.errors import ExportError, TargetError, UnavailableError, UsageError
from edgekd.document.kernel import Kernel

PROFILE_SECONDS = 0.1
PLUGIN = "plugin:"  # before the name of a user's own backend, whose module no bundle names
Array = NDArray[np.generic]


@contextmanager
def unreported() -> Iterator[None]:
    """Import a runtime without what it tells its maker.

    ONNX Runtime (1.31's Linux wheel) writes a device id into the user's folder, and looks up its collector's host 10 s
    later, unless its variable stands in the environment when it is first imported; a value of the user's counts.
    OpenVINO sends an event by ``openvino_telemetry``, for which it has a stub.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before


@dataclass(frozen=True)
class Port:
    """One input or output of a session. ``shape`` has ``None`` where any size is taken."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Session(Protocol):
    """A model ready to run on one thread of the caller. Threads each open their own (``fork``)."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Named inputs to named outputs. The result is the caller's own: a later run does not change it.

        Raises:
            UsageError: names, dtypes or shapes that are not those of ``inputs``.
        """

    def fork(self) -> Session:
        """Another session on the same compiled model with buffers of its own, for another thread."""


@runtime_checkable
class SelfTimed(Protocol):
    """A session in another process, whose runs are timed there: the way to it is no part of a figure."""

    def timed(self, arrays: Mapping[str, Array]) -> int:
        """Run once; nanoseconds, by the clock of where it ran."""


@runtime_checkable
class Apart(Protocol):
    """A session that can tell the computation from the copies, and from the call, around it."""

    def apart(self, arrays: Mapping[str, Array]) -> dict[str, int]:
        """Run once, warm; nanoseconds of each part, by name, in their order. Empty where a run is several."""


class Backend(Protocol):
    """The class in ``backend.py`` of a folder of ``runtime/backends/``."""

    def lower(self, onnx: bytes) -> dict[str, bytes]:
        """The files that the runtime opens, by name, the one to open first. Pure: equal bytes for equal bytes.

        Raises:
            ExportError: a model that the runtime can't take.
        """

    def open(self, files: Mapping[str, bytes], batch: int | None = None) -> Session:
        """Compile. ``batch`` fixes the batch that is compiled at once; other batches compile when first seen.

        Raises:
            UnavailableError: this machine lacks the provider or device.
            IntegrityError: the files are no model.
            ExportError: a model that the runtime can't run; names the op.
        """

    def check(self) -> None:
        """Say whether this machine has what the options name. Compiles nothing.

        Raises:
            UnavailableError: a provider or device that is not here.
        """

    def version(self) -> str:
        """The runtime's version."""


@runtime_checkable
class Profiled(Protocol):
    """A backend that can tell what its runtime really runs. One of a user's own need not."""

    def kernels(self, files: Mapping[str, bytes], inputs: Mapping[str, Array]) -> list[Kernel]:
        """Compile the files with the runtime's profiler on, run them a few times, and list what ran.

        Args:
            files: as ``lower`` gave them.
            inputs: one batch.

        Raises:
            what ``open`` and ``run`` raise.
        """


@runtime_checkable
class Configured(Protocol):
    """A backend whose runtime is told properties by name; a program of an app tells it the same."""

    def properties(self) -> dict[str, Any]:
        """What the device is told when a model is compiled for it."""


def profiled(run: Callable[[], object], most: int) -> int:
    """Run about ``PROFILE_SECONDS`` long, at least 8 times and at most ``most``; how often it was."""
    started = time.perf_counter()
    run()
    runs = max(8, min(most, int(PROFILE_SECONDS / max(time.perf_counter() - started, 1e-6))))
    for _ in range(runs - 1):
        confined.alive()
        run()
    return runs


def kernels(backend: Backend, files: Mapping[str, bytes], inputs: Mapping[str, Array]) -> list[Kernel] | None:
    """What a backend's runtime really runs of a model; None where it does not tell."""
    return backend.kernels(files, inputs) if isinstance(backend, Profiled) else None


def make(kind: str, options: Mapping[str, Any], where: str) -> Backend:
    """The backend of a target.

    Args:
        kind: a built-in backend, or ``"package.module:Class"`` for a user's own.
        options: the fields of the backend.
        where: file and key of the options, for the errors.

    Raises:
        TargetError: unknown backend, unknown option, a value out of range.
        UnavailableError: the backend's runtime is not installed, or does not load; says what to type. A user's own
            that a bundle names and nobody allowed.
    """
    if kind.startswith(PLUGIN):
        raise UnavailableError(
            "needs a backend of its maker's own, which a bundle does not bring",
            where=where,
            found=kind.removeprefix(PLUGIN),
            hint='name it: edgekd.load(..., plugins=["package.module:Class"]), or --allow-plugin',
        )
    try:
        return cast(Backend, plugins.build("backends", {**options, "kind": kind}, where, TargetError))
    except ImportError as err:
        module = (err.name or kind).partition(".")[0]
        if module == "edgekd":
            raise
        missing, facts = isinstance(err, ModuleNotFoundError), backend_facts.of(kind)
        raise UnavailableError(
            f"{module} is not installed" if missing else f"{module} does not load ({err})",
            where=where,
            found=kind,
            hint=f"pip install {facts.requirement if module in facts.modules else module}",
        ) from err


def listed(lazy_ports: Iterable[Port], where: str) -> tuple[Port, ...]:
    """A session's inputs, or its outputs, as its runtime tells them one by one.

    Raises:
        ExportError: a name twice, by which a run could give but one of the two; one that is no text.
    """
    try:
        ports = tuple(lazy_ports)
    except UnicodeDecodeError as err:  # a file may hold any bytes, and the runtimes take them
        raise ExportError("a name that is no text", where=where, found=err.object, allowed="UTF-8") from err
    names = [port.name for port in ports]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ExportError("a name twice", where=where, found=twice[0])
    return ports


def check_inputs(ports: Sequence[Port], arrays: Mapping[str, Array]) -> None:
    """Hold named arrays against the inputs of a session.

    Raises:
        UsageError: a missing or unknown name, something that is no array, a wrong dtype, rank or size.
    """
    names = [port.name for port in ports]
    if not isinstance(arrays, Mapping):
        raise UsageError("arrays by the names of inputs", where="run", found=type(arrays).__name__, allowed=names)
    if unknown := [name for name in arrays if name not in names]:
        raise UsageError("unknown input", where="run", found=unknown[0], allowed=names)
    for port in ports:
        where = f"run: input {port.name!r}"
        if port.name not in arrays:
            raise UsageError("missing", where=where, found=sorted(arrays), allowed=names)
        array = arrays[port.name]
        if not isinstance(array, np.ndarray):
            raise UsageError("not an array", where=where, found=type(array).__name__, allowed="numpy.ndarray")
        if array.dtype != np.dtype(port.dtype):
            raise UsageError("wrong dtype", where=where, found=str(array.dtype), allowed=port.dtype)
        sizes_fit = all(size > 0 and want in (None, size) for size, want in zip(array.shape, port.shape, strict=False))
        if array.ndim != len(port.shape) or not sizes_fit:
            raise UsageError("wrong shape", where=where, found=array.shape, allowed=describe(port.shape))


def fits(buffers: Mapping[str, Array] | None, arrays: Mapping[str, Array]) -> bool:
    """Whether arrays can be copied into the buffers as they stand: the quick check of a session's every run."""
    if buffers is None or len(arrays) != len(buffers):
        return False
    for name, buffer in buffers.items():
        array = arrays.get(name)
        if not isinstance(array, np.ndarray) or array.shape != buffer.shape or array.dtype != buffer.dtype:
            return False
    return True


def describe(shape: Sequence[int | None]) -> str:
    """``(None, 3, 32, 32)`` -> ``(N, 3, 32, 32)``."""
    sizes = ", ".join("N" if size is None else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"
