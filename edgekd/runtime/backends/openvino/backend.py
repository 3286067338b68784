"""OpenVINO: lowers ONNX to its IR, and compiles that for fixed batches."""

from __future__ import annotations

import functools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekd.base.disk import temporary
from edgekd.base.errors import ExportError, IntegrityError, ResourceError, UnavailableError, UsageError
from edgekd.base.preprocess import MOST_TOKENS
from edgekd.document.kernel import Kernel
from edgekd.runtime.backends._base import Array, Port, check_inputs, fits, listed, profiled, unreported
from edgekd.runtime.backends.openvino import ir, profile
from edgekd.runtime.backends.openvino import lengths as text_lengths

with unreported():
    import openvino as ov
    from openvino._offline_transformations import apply_moc_transformations

XML, BIN = "openvino_model.xml", "openvino_model.bin"
CHUNK = 64  # larger batches than this and the one opened run in pieces
KEPT = 4  # compiled batches beside the one opened
_PROFILED = 200  # runs at most, behind the first
REFUSED = (RuntimeError, UnicodeDecodeError)  # whose message is not of UTF-8, as a name in the model may be
# What numpy holds as OpenVINO does: it has no type of less than 8 bits, and no bfloat16.
_DTYPES = {
    "boolean": "bool",
    **{f"f{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"{sign[0]}{bits}": f"{sign}{bits}" for sign in ("int", "uint") for bits in (8, 16, 32, 64)},
}
_EXECUTED = ov.ProfilingInfo.Status.EXECUTED
_NOISE = ("Exception from", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary:")


@dataclass(frozen=True)
class Openvino:
    """OpenVINO on one device.

    Args:
        device: as OpenVINO names it: ``CPU``, ``GPU``, ``GPU.1``, ``NPU``, ``AUTO`` ...
        threads: 1..1024, of each stream; for the CPU.
        streams: 1..1024 runs at once, each on threads of its own; for the CPU.
        lengths: of texts, 1..16384 tokens, at most 8: the model is compiled for each when it is opened, and a shorter
            text is filled up to the next one; a longer one runs as without. For networks with an ``attention_mask``,
            and batches of the size opened.
        config: properties of the device, such as ``{INFERENCE_PRECISION_HINT = "bf16"}``. They win over ours, which
            on the CPU are latency first, and f32.
    """

    device: str = "CPU"
    threads: int = 1
    streams: int = 1
    lengths: tuple[int, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("threads", "streams"):
            if not 1 <= getattr(self, name) <= 1024:
                raise ValueError(f"{name}: 1..1024")
        if len(self.lengths) > 8 or not all(1 <= length <= MOST_TOKENS for length in self.lengths):
            raise ValueError(f"lengths: at most 8, each 1..{MOST_TOKENS}")

    def check(self) -> None:
        base = re.split("[:.]", self.device)[0]
        devices = _core().available_devices
        if base in ("AUTO", "HETERO", "MULTI", "BATCH"):
            return
        if base not in {re.split("[:.]", device)[0] for device in devices}:
            there = ", ".join(devices)  # a text: no nearest name, of a device that is known and not here
            raise UnavailableError("no such device here", where="options.device", found=self.device, allowed=there)
        known = _properties(base) if self.config else ()
        if unknown := [key for key in self.config if key not in known]:
            raise UsageError(f"{base} has no such property", where="options.config", found=unknown[0], allowed=known)

    def version(self) -> str:
        return f"openvino {ov.get_version()}"

    def lower(self, onnx: bytes) -> dict[str, bytes]:
        """ONNX to IR: OpenVINO's own simplifications applied, canonical names, and of ``rt_info`` only our keys.

        Entries of the ONNX ``metadata_props`` whose key starts with ``edgekd`` end in ``rt_info["model_info"]``.
        """
        try:
            model = _core().read_model(onnx)
        except REFUSED as err:
            raise ExportError(f"OpenVINO can't read the model: {_reason(err)}", where="model.onnx") from err
        apply_moc_transformations(model, cf=False, smart_reshape=False)  # what it does itself before it compiles
        ir.suit_int8_passes(model, ov.opset13)
        ir.name_nodes(model, onnx)
        with temporary("lower") as folder:
            path = folder / XML
            try:
                ov.save_model(model, path, compress_to_fp16=False)
                return {XML: ir.tidy(path.read_bytes()), BIN: path.with_suffix(".bin").read_bytes()}
            except (RuntimeError, SyntaxError, OSError) as err:  # it was read and converted: what fails is the disk
                raise ResourceError(
                    f"OpenVINO can't write the model: {_reason(err)}",
                    where=str(folder),
                    hint="is the disk full? free some space, or set TMPDIR",
                ) from err

    def open(self, files: Mapping[str, bytes], batch: int | None = None) -> OpenvinoSession:
        """An IR, or an ONNX file as it is."""
        return OpenvinoSession(_Compiled(self._read(files), self.device, self.properties(), batch or 1, self.lengths))

    def kernels(self, files: Mapping[str, bytes], inputs: Mapping[str, Array]) -> list[Kernel]:
        """From the graph that OpenVINO compiled, and its counters; times are means, in whole microseconds."""
        batch = next((len(array) for array in inputs.values() if array.ndim), 1)
        config = {**self.properties(), "PERF_COUNT": True}
        lengths = text_lengths.needed(self.lengths, inputs)  # no other is looked at
        compiled = _Compiled(self._read(files), self.device, config, batch, lengths)
        session = OpenvinoSession(compiled)
        session.run(inputs)
        try:
            first = session.counted()
            runs = profiled(lambda: session.run(inputs), _PROFILED)
            graph = compiled.get(batch if compiled.batched else 0, compiled.length_for(inputs)).get_runtime_model()
            return profile.kernels(graph, first, session.counted(), runs)
        except REFUSED as err:  # a device that keeps its graph to itself
            raise UnavailableError(f"{self.device} does not tell what it runs: {_reason(err)}", where=XML) from err

    def _read(self, files: Mapping[str, bytes]) -> ov.Model:
        self.check()
        names = [name for name in files if name.endswith((".xml", ".onnx"))]
        if len(names) != 1 or len(files) != (2 if names[0].endswith(".xml") else 1):
            raise IntegrityError(
                "not an OpenVINO model", where=XML, found=sorted(files), allowed=".xml and .bin, or .onnx"
            )
        weights = [data for name, data in files.items() if name != names[0]]
        try:
            return _core().read_model(files[names[0]], *weights)
        except REFUSED as err:
            raise IntegrityError(f"no OpenVINO model: {_reason(err)}", where=names[0]) from err

    def properties(self) -> dict[str, Any]:
        """What the device is told when a model is compiled for it."""
        hints: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.device == "CPU":
            # f32: else CPUs with bf16 or f16 units compute in those, and answer otherwise than the rest
            threads = self.threads * self.streams
            hints |= {"NUM_STREAMS": self.streams, "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        return {**hints, **self.config}


class _Compiled:
    """A model compiled for one batch after another; shared by the sessions of all threads.

    The length of sequences stays free, but for ``lengths``: a fixed one is 1.3 to 1.5 x faster, and takes a tenth of a
    second to compile for each.
    """

    def __init__(
        self, model: ov.Model, device: str, config: dict[str, Any], batch: int, lengths: Sequence[int] = ()
    ) -> None:
        self._model, self._device, self._config = model, device, config
        self._lock = threading.Lock()
        self._others: OrderedDict[int, ov.CompiledModel] = OrderedDict()
        self.inputs = listed(map(_port, model.inputs, model.get_parameters()), "inputs")
        self.outputs = listed(map(_port, model.outputs, model.get_results()), "outputs")
        self.batched = [port.name for port in self.inputs if port.shape and port.shape[0] is None]
        self.splits = bool(self.batched) and all(p.shape and p.shape[0] is None for p in (*self.inputs, *self.outputs))
        self.lengths = [(p.name, axis) for p in self.inputs for axis, d in enumerate(p.shape) if axis and d is None]
        self.opened = batch if self.batched else 0
        self.fixed = text_lengths.usable(lengths, self.lengths)
        self._first = self._compile(self.opened)
        self._of_length = {length: self._compile(self.opened, length) for length in self.fixed}

    def get(self, batch: int, length: int = 0) -> ov.CompiledModel:
        """The model for a batch, compiled if it is not among the last; of the batch opened for a length, or any."""
        if batch == self.opened:
            return self._of_length[length] if length else self._first
        with self._lock:
            if batch not in self._others:
                self._others[batch] = self._compile(batch)
            self._others.move_to_end(batch)
            while len(self._others) > KEPT:
                self._others.popitem(last=False)
            return self._others[batch]

    def length_for(self, arrays: Mapping[str, Array]) -> int:
        """Of which length the model is that runs these, of the batch opened; 0: of any."""
        return text_lengths.next_of(self.fixed, arrays, self.lengths) if self.fixed else 0

    def chunk(self, batch: int) -> int:
        """The batch to compile for so many samples at once."""
        return min(batch, max(CHUNK, self.opened)) if self.splits else batch

    def _compile(self, batch: int, length: int = 0) -> ov.CompiledModel:
        model = self._model.clone()
        try:
            shapes = {port.name: model.input(port.name).partial_shape for port in self.inputs}
            for name in self.batched:
                shapes[name][0] = batch
            for name, axis in self.lengths if length else ():
                shapes[name][axis] = length
            if self.batched or length:
                model.reshape(shapes)
            return _core().compile_model(model, self._device, self._config)
        except REFUSED as err:
            of = f"batch {batch}" + (f" and {length} tokens" if length else "")
            raise ExportError(f"OpenVINO can't compile the model for {of}: {_reason(err)}", where=XML) from err


class OpenvinoSession:
    """Requests with buffers of their own, one for each batch that was seen."""

    def __init__(self, compiled: _Compiled) -> None:
        self._compiled = compiled
        self.inputs, self.outputs = compiled.inputs, compiled.outputs
        self._requests: OrderedDict[int, _Request] = OrderedDict()
        self._fixed = {
            length: _Request(compiled.get(compiled.opened, length), self.inputs, self.outputs, fills=True)
            for length in compiled.fixed
        }
        self._last = self._request(compiled.opened)

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        if fits(self._last.buffers, arrays):
            return self._last.run(arrays)
        check_inputs(self.inputs, arrays)
        sizes = {name: len(arrays[name]) for name in self._compiled.batched}
        _check_agree(sizes, "batch")
        # OpenVINO would run on lengths that disagree, and answer anything.
        _check_agree({name: arrays[name].shape[axis] for name, axis in self._compiled.lengths}, "length")
        batch = next(iter(sizes.values()), 0)
        if self._fixed and batch == (self._compiled.opened or batch) and (length := self._compiled.length_for(arrays)):
            self._last = self._fixed[length]
            return self._cropped(self._last.run(arrays), arrays)
        chunk = self._compiled.chunk(batch)
        self._last = self._request(chunk)
        if chunk == batch:
            return self._last.run(arrays)
        return self._run_in_chunks(arrays, batch, chunk)

    def apart(self, arrays: Mapping[str, Array]) -> dict[str, int]:
        """Nanoseconds: ``copy_in``, ``compute`` by OpenVINO's own clock, the ``call`` around it, ``copy_out``.

        ``compute`` is what benchmark_app prints. Empty for a batch that runs in chunks.
        """
        if not fits(self._last.buffers, arrays):
            self.run(arrays)  # which makes the request for them, unless they run in chunks
        whole = fits(self._last.buffers, arrays) or self._last in self._fixed.values()
        return self._last.apart(arrays) if whole else {}

    def fork(self) -> OpenvinoSession:
        return OpenvinoSession(self._compiled)

    def counted(self) -> dict[str, float]:
        """Mean microseconds of each kernel over all runs of the last batch, where it was compiled with PERF_COUNT."""
        return self._last.counted()

    def _run_in_chunks(self, arrays: Mapping[str, Array], batch: int, chunk: int) -> dict[str, Array]:
        """Pieces of one size; the last is filled up with the last sample, whose extra results are dropped."""
        pieces = []
        for start in range(0, batch, chunk):
            rows = np.arange(start, start + chunk).clip(max=batch - 1)
            pieces.append(self._last.run({name: array[rows] for name, array in arrays.items()}))
        return {port.name: np.concatenate([piece[port.name] for piece in pieces])[:batch] for port in self.outputs}

    def _cropped(self, results: dict[str, Array], arrays: Mapping[str, Array]) -> dict[str, Array]:
        """What the model of a fixed length says, without what belongs to no token."""
        name, axis = self._compiled.lengths[0]
        return text_lengths.cropped(results, self.outputs, arrays[name].shape[axis])

    def _request(self, batch: int) -> _Request:
        if batch not in self._requests:
            self._requests[batch] = _Request(self._compiled.get(batch), self.inputs, self.outputs)
        self._requests.move_to_end(batch)
        while len(self._requests) > KEPT + 1:
            self._requests.popitem(last=False)
        return self._requests[batch]


class _Request:
    """An infer request whose tensors are set once and reused: 27 us where ``infer(inputs)`` takes 250.

    Args:
        fills: what is shorter than its tensors is filled up with zeros: tokens that the mask, which is zero there as
            well, hides.
    """

    def __init__(
        self, compiled: ov.CompiledModel, inputs: tuple[Port, ...], outputs: tuple[Port, ...], *, fills: bool = False
    ) -> None:
        self._request, self._fills = compiled.create_infer_request(), fills
        self._inputs, self._outputs = inputs, outputs
        self.buffers: dict[str, Array] | None = None
        self._results: dict[int, Array] = {}  # outputs whose shape is known before the run
        if all(port.partial_shape.is_static for port in compiled.inputs):
            self._set_inputs([tuple(port.shape) for port in compiled.inputs])
        for index, port in enumerate(compiled.outputs):
            if port.partial_shape.is_static:
                self._results[index] = np.empty(tuple(port.shape), outputs[index].dtype)
                _share(self._request.set_output_tensor, index, self._results[index], outputs[index].name)

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self._copy_in(arrays)
        self._infer()
        return self._copy_out()

    def apart(self, arrays: Mapping[str, Array]) -> dict[str, int]:
        clock = time.perf_counter_ns
        started = clock()
        self._copy_in(arrays)
        copied = clock()
        self._infer()
        inferred = clock()
        computed = round(self._request.latency * 1e6)
        asked = clock()
        self._copy_out()
        call = max(0, inferred - copied - computed)
        return {"copy_in": copied - started, "compute": computed, "call": call, "copy_out": clock() - asked}

    def _copy_in(self, arrays: Mapping[str, Array]) -> None:
        buffers = self.buffers
        if buffers is None or not (fits(buffers, arrays) or self._fills):
            buffers = self._set_inputs([arrays[port.name].shape for port in self._inputs])
        if self._fills:
            text_lengths.fill(buffers, arrays)
            return
        for name, buffer in buffers.items():
            buffer[...] = arrays[name]

    def _infer(self) -> None:
        try:
            self._request.infer(None, share_outputs=True)
        except REFUSED as err:
            raise UsageError(f"the model does not run on these inputs: {_reason(err)}", where="run") from err

    def _copy_out(self) -> dict[str, Array]:
        return {port.name: self._result(index).copy() for index, port in enumerate(self._outputs)}

    def counted(self) -> dict[str, float]:
        profile = self._request.profiling_info
        return {p.node_name: p.real_time.total_seconds() * 1e6 for p in profile if p.status == _EXECUTED}

    def _result(self, index: int) -> Array:
        known = self._results.get(index)
        output: Array = self._request.get_output_tensor(index).data if known is None else known
        return output

    def _set_inputs(self, shapes: list[tuple[int, ...]]) -> dict[str, Array]:
        buffers: dict[str, Array] = {}
        for index, (port, shape) in enumerate(zip(self._inputs, shapes, strict=True)):
            buffers[port.name] = np.zeros(shape, port.dtype)
            _share(self._request.set_input_tensor, index, buffers[port.name], port.name)
        self.buffers = buffers
        return buffers


def _share(setter: Callable[[int, ov.Tensor], None], index: int, array: Array, name: str) -> None:
    """Let a request read or write an array in place."""
    try:
        setter(index, ov.Tensor(array, shared_memory=True))
    except REFUSED as err:
        raise ExportError(f"OpenVINO takes no array for it: {_reason(err)}", where=name) from err


def _check_agree(sizes: dict[str, int], what: str) -> None:
    if len(set(sizes.values())) > 1:
        raise UsageError(f"the inputs disagree on the {what}", where="run", found=sizes)


@functools.cache
def _core() -> ov.Core:
    return ov.Core()


@functools.cache
def _properties(device: str) -> tuple[str, ...]:
    """What a device can be told; asked once, since OpenVINO 2026.4 keeps 3 kB of each asking for ever."""
    return tuple(_core().get_property(device, "SUPPORTED_PROPERTIES"))


def _port(port: ov.ConstOutput, node: ov.Node) -> Port:
    """A tensor can have many names; the one that the ONNX file gave is its Parameter's or Result's."""
    names = port.get_names()
    name = node.get_friendly_name().partition("/sink_port_")[0]
    name = name if name in names else min(names, default=name)
    kind = port.element_type.get_type_name()
    if kind not in _DTYPES:
        raise ExportError("no array of this type", where=name, found=kind, allowed=_DTYPES)
    return Port(name, tuple(None if d.is_dynamic else d.get_length() for d in port.partial_shape), _DTYPES[kind])


def _reason(err: Exception) -> str:
    """What OpenVINO's message says, without where in its source it says so."""
    if isinstance(err, UnicodeDecodeError):
        return "its message is no text"
    lines = [line.strip().removeprefix("-- ") for line in str(err).splitlines()]
    reasons = [line for line in lines if line and not line.startswith(_NOISE)]
    return (reasons or lines or [""])[0].rstrip(".:")
