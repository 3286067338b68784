"""ONNX Runtime on an NVIDIA GPU: buffers that stay on the device, CUDA graphs, TensorRT; never the CPU in silence.

A run copies the inputs into the device's buffers, computes, and copies the outputs out. With fixed buffers and shapes
the whole computation is one CUDA graph, captured in the first runs of a shape and replayed later. ONNX Runtime keeps
the graphs of a compiled model by number, and they are not for several threads at once: sessions on one model number
theirs together, and take turns.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekd.base.errors import UsageError
from edgekd.runtime.backends._base import Array, check_inputs, fits, listed, unreported
from edgekd.runtime.backends.ort import CUDA, TENSORRT
from edgekd.runtime.backends.ort import backend as ort

with unreported():
    import onnxruntime
    from onnxruntime import OrtValue

KEPT = 8  # shapes whose buffers are kept; and how many of a session's shapes get a graph, which stays on the device
_NO_GRAPH = "-1"  # as an annotation: neither captured nor replayed


@dataclass(frozen=True)
class OrtCuda(ort.Ort):
    """ONNX Runtime on one GPU.

    Args:
        provider: CUDA's, or TensorRT's (what that can't run falls to CUDA).
        device: the GPU's number.
        graphs: replay CUDA graphs; of CUDA's provider alone.
        fallback: let what the GPU can't run fall to the CPU, with copies there and back; else it is an error.
    """

    provider: str = CUDA
    device: int = 0
    graphs: bool = True
    fallback: bool = False

    @property
    def place(self) -> str:
        """Where buffers lie, as ONNX Runtime names it."""
        return "cuda" if self.provider in (CUDA, TENSORRT) else "cpu"

    @property
    def replays(self) -> bool:
        """Whether runs are captured, and replayed."""
        return self.graphs and self.provider == CUDA

    def open(self, files: Mapping[str, bytes], batch: int | None = None) -> OrtCudaSession:
        """One session takes any batch: ``batch`` changes nothing."""
        return OrtCudaSession(self, self.compile(files, onnxruntime.SessionOptions()))

    def compile(self, files: Mapping[str, bytes], options: Any, disabled: Any = ()) -> onnxruntime.InferenceSession:
        self.check()
        if self.place == "cuda":
            onnxruntime.preload_dlls()  # of CUDA and cuDNN, where pip's packages (or torch's) brought them
            if not self.fallback:
                options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return super().compile(files, options, disabled)

    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """The chosen one first."""
        graphs = str(int(self.replays))  # 0 for what TensorRT leaves to CUDA, which is no whole computation
        cuda = {"device_id": str(self.device), "enable_cuda_graph": graphs, "use_tf32": "0"}
        known = {CUDA: cuda, TENSORRT: {"device_id": str(self.device), "trt_cuda_graph_enable": "0"}}
        given = {key: str(value) for key, value in self.provider_options.items()}
        chosen = [(self.provider, {**known.get(self.provider, {}), **given})]
        return [*chosen, (CUDA, cuda)] if self.provider == TENSORRT else chosen


@dataclass
class _Bound:
    """Buffers of one shape on the device, bound, and how to run on them; ``like`` are arrays of that shape."""

    like: dict[str, Array]
    inputs: dict[str, OrtValue]
    outputs: list[OrtValue]
    binding: Any
    options: onnxruntime.RunOptions


@dataclass(frozen=True)
class _Shared:
    """What sessions on one compiled model share: whose turn it is, and the numbers of their graphs."""

    turn: AbstractContextManager[object]
    graphs: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class OrtCudaSession:
    """A compiled model with buffers of its own for each of the last shapes."""

    def __init__(self, backend: OrtCuda, session: onnxruntime.InferenceSession, shared: _Shared | None = None) -> None:
        self._backend, self._session = backend, session
        self._shared = shared or _Shared(threading.Lock() if backend.replays else nullcontext())
        self.inputs = listed(map(ort.port, session.get_inputs()), "inputs")
        self.outputs = listed(map(ort.port, session.get_outputs()), "outputs")
        self._names = [port.name for port in self.outputs]
        self._bound: OrderedDict[tuple[Any, ...], _Bound] = OrderedDict()
        self._last: _Bound | None = None
        self._captured = 0

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        with self._shared.turn:
            bound = self._buffers(arrays)
            self._copy_in(bound, arrays)
            self._compute(bound)
            return self._copy_out(bound)

    def apart(self, arrays: Mapping[str, Array]) -> dict[str, int]:
        """Nanoseconds of one run: ``copy_in``, ``compute`` and ``copy_out``, each until the device is done."""
        clock = time.perf_counter_ns
        with self._shared.turn:
            bound = self._buffers(arrays)
            started = clock()
            self._copy_in(bound, arrays)
            bound.binding.synchronize_inputs()
            copied = clock()
            self._compute(bound)
            computed = clock()
            self._copy_out(bound)
            return {"copy_in": copied - started, "compute": computed - copied, "copy_out": clock() - computed}

    def fork(self) -> OrtCudaSession:
        return OrtCudaSession(self._backend, self._session, self._shared)

    def _buffers(self, arrays: Mapping[str, Array]) -> _Bound:
        if self._last is not None and fits(self._last.like, arrays):
            return self._last
        check_inputs(self.inputs, arrays)
        shapes = tuple(arrays[port.name].shape for port in self.inputs)
        if shapes not in self._bound:
            self._bound[shapes] = self._bind(arrays)
            if len(self._bound) > KEPT:
                self._bound.popitem(last=False)
        self._bound.move_to_end(shapes)
        self._last = self._bound[shapes]
        return self._last

    def _bind(self, arrays: Mapping[str, Array]) -> _Bound:
        """Run once to learn the outputs' shapes; what that run made are the buffers of all later ones."""
        place, device = self._backend.place, self._backend.device
        copies = {p.name: arrays[p.name].copy(order="C") for p in self.inputs}  # on a CPU a value is the array itself
        inputs = {name: OrtValue.ortvalue_from_numpy(array, place, device) for name, array in copies.items()}
        first = self._session.io_binding()
        for name, value in inputs.items():
            first.bind_ortvalue_input(name, value)
        for name in self._names:
            first.bind_output(name, place, device)
        self._ask(first, self._options(_NO_GRAPH))
        outputs = first.get_outputs()
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in zip(self._names, outputs, strict=True):
            binding.bind_ortvalue_output(name, value)
        graph = str(next(self._shared.graphs)) if self._captured < KEPT else _NO_GRAPH
        self._captured += graph != _NO_GRAPH
        return _Bound(copies, inputs, outputs, binding, self._options(graph))

    def _options(self, graph: str) -> onnxruntime.RunOptions:
        options = onnxruntime.RunOptions()
        if self._backend.replays:
            options.add_run_config_entry("gpu_graph_id", graph)
        return options

    def _copy_in(self, bound: _Bound, arrays: Mapping[str, Array]) -> None:
        for name, value in bound.inputs.items():
            value.update_inplace(np.asarray(arrays[name], order="C"))

    def _compute(self, bound: _Bound) -> None:
        self._ask(bound.binding, bound.options)

    def _ask(self, binding: Any, options: onnxruntime.RunOptions) -> None:
        try:
            self._session.run_with_iobinding(binding, options)
        except ort.REFUSED as err:
            raise UsageError(f"the model does not run on these inputs: {ort.reason(err)}", where="run") from err
        binding.synchronize_outputs()

    def _copy_out(self, bound: _Bound) -> dict[str, Array]:
        # On a CPU the array would be the buffer itself, and a later run change it.
        return {name: value.numpy().copy() for name, value in zip(self._names, bound.outputs, strict=True)}
