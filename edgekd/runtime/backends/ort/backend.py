"""ONNX Runtime: opens the ONNX file as it is."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.base.disk import temporary
from edgekd.base.errors import ExportError, IntegrityError, ResourceError, UnavailableError, UsageError
from edgekd.document.kernel import Kernel
from edgekd.runtime.backends._base import Array, Port, Session, check_inputs, fits, listed, profiled, unreported

with unreported():
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as _state

FILE = "model.onnx"

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_COLD, _PROFILED = 2, 60  # runs that are not counted, and the most that are
_CONVERT = ("QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear", "Cast")
# Conv_3_token_7, Relu_0:0_nchwc, MatMul_1/MatMulScaleFusion/, fused Gemm_0: the node that it was, and what became of it
_NODE = re.compile(r"^(?:fused )?([A-Za-z]\w*?_\d+)(?:_token_\d+|:\d+|_nchwc|/.*)*$")
_CODES = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_DAMAGED = (_state.InvalidProtobuf, _state.NoModel)
# ONNX Runtime 1.20 has fewer kinds of errors than 1.31, and raises RuntimeError for the others.
_REFUSALS = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "NotFound", "NotImplemented", "RuntimeException")
REFUSED: tuple[type[Exception], ...] = (
    *(getattr(_state, name) for name in _REFUSALS if hasattr(_state, name)),
    *(RuntimeError, UnicodeDecodeError),  # whose message is not of UTF-8, as a name in the model may be
)


@dataclass(frozen=True)
class Ort:
    """ONNX Runtime with one execution provider.

    Args:
        provider: the provider's name; what it can't run falls to the CPU, as in ONNX Runtime itself.
        threads: 1..1024, for the work inside an operator; operators run one after another.
        config: session config entries, such as ``{"session.intra_op.allow_spinning" = "0"}``.
        provider_options: the provider's own options.
    """

    provider: str = "CPUExecutionProvider"
    threads: int = 1
    config: dict[str, Any] = field(default_factory=dict)
    provider_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 1024:
            raise ValueError("threads: 1..1024")

    def check(self) -> None:
        if self.provider not in (known := onnxruntime.get_available_providers()):
            is_one = self.provider in onnxruntime.get_all_providers()
            raise UnavailableError(
                "this ONNX Runtime has no such provider",
                where="options.provider",
                found=self.provider,
                allowed=", ".join(known) if is_one else known,
                hint="pip install 'edgekd[ort-gpu]'" if self.provider.startswith(("CUDA", "Tensorrt")) else None,
            )

    def version(self) -> str:
        return f"onnxruntime {onnxruntime.__version__}"

    def lower(self, onnx: bytes) -> dict[str, bytes]:
        return {FILE: onnx}

    def open(self, files: Mapping[str, bytes], batch: int | None = None) -> Session:
        """One session takes any batch: ``batch`` changes nothing."""
        return OrtSession(self.compile(files, onnxruntime.SessionOptions()))

    def kernels(self, files: Mapping[str, bytes], inputs: Mapping[str, Array]) -> list[Kernel]:
        """From ONNX Runtime's own profile, which counts whole microseconds: the mean of the faster half of the runs.

        What else a machine does disturbs only upwards.
        """
        with temporary("profile") as folder:
            options = onnxruntime.SessionOptions()
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / "profile")
            compiled = self.compile(files, options)
            session = OrtSession(compiled)
            for _ in range(_COLD):
                session.run(inputs)
            profiled(lambda: session.run(inputs), _PROFILED)
            file = Path(compiled.end_profiling())
            try:
                events = json.loads(file.read_text(encoding="utf-8"))
            except (ValueError, OSError) as err:  # it tells nobody that the disk takes no more
                raise ResourceError(
                    "ONNX Runtime could not write its profile",
                    where=str(file),
                    hint="is the disk full? free some space, or set TMPDIR",
                ) from err
        return _kernels(events)

    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """Whom ONNX Runtime asks, in this order, each with its options."""
        return [(self.provider, {key: str(value) for key, value in self.provider_options.items()})]

    def compile(
        self, files: Mapping[str, bytes], options: onnxruntime.SessionOptions, disabled: Sequence[str] = ()
    ) -> onnxruntime.InferenceSession:
        """A session; ``disabled``: optimizers that are left out."""
        self.check()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # whatever goes wrong is raised
        for key, value in self.config.items():
            try:
                options.add_session_config_entry(key, str(int(value)) if isinstance(value, bool) else str(value))
            except REFUSED as err:
                raise UsageError("no config entry", where=f"options.config.{key}", found=reason(err)) from err
        name, model = next(iter(files.items()))
        try:
            session = onnxruntime.InferenceSession(
                model,
                options,
                providers=self.providers(),
                disabled_optimizers=list(disabled),
                enable_fallback=self.provider != "CPUExecutionProvider",  # else it prints why, and tries the same again
            )
        except _DAMAGED as err:
            raise IntegrityError("no ONNX model", where=name) from err
        except REFUSED as err:
            if "model verification failed" in str(err):  # of a file in its own format
                raise IntegrityError("no ONNX Runtime model", where=name) from err
            raise ExportError(f"ONNX Runtime can't run the model: {reason(err)}", where=name) from err
        if self.provider not in session.get_providers():  # its libraries are missing; ONNX Runtime went on without
            raise UnavailableError("the provider does not start", where="options.provider", found=self.provider)
        return session


class OrtSession:
    """A compiled model with input buffers of its own, kept bound as long as the shapes stay.

    Binding costs more than running a small model, so it is done once for a shape: a run copies into the buffers and
    copies the outputs out. Outputs whose shape depends on the data can't keep theirs, and are bound anew each time.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.inputs = listed(map(port, session.get_inputs()), "inputs")
        self.outputs = listed(map(port, session.get_outputs()), "outputs")
        self._names = [port.name for port in self.outputs]
        given = {size for arg in session.get_inputs() for size in arg.shape if isinstance(size, str)}
        sizes = {size for arg in session.get_outputs() for size in arg.shape if not isinstance(size, int)}
        self._outputs_stay = sizes <= given
        self._buffers: dict[str, Array] | None = None
        self._binding = session.io_binding()

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        buffers = self._buffers
        if buffers is None or not fits(buffers, arrays):
            check_inputs(self.inputs, arrays)
            buffers = self._bind(arrays)
        elif not self._outputs_stay:
            self._bind_outputs()
        for name, buffer in buffers.items():
            buffer[...] = arrays[name]
        try:
            self._session.run_with_iobinding(self._binding)
        except REFUSED as err:
            self._buffers = None
            raise UsageError(f"the model does not run on these inputs: {reason(err)}", where="run") from err
        return dict(zip(self._names, self._binding.copy_outputs_to_cpu(), strict=True))

    def fork(self) -> OrtSession:
        return OrtSession(self._session)

    def _bind(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self._binding = self._session.io_binding()
        buffers: dict[str, Array] = {p.name: np.empty(arrays[p.name].shape, p.dtype) for p in self.inputs}
        for name, buffer in buffers.items():
            self._binding.bind_cpu_input(name, buffer)
        self._bind_outputs()
        self._buffers = buffers
        return buffers

    def _bind_outputs(self) -> None:
        for name in self._names:
            self._binding.bind_output(name, "cpu")


def port(arg: onnxruntime.NodeArg) -> Port:
    if arg.type not in _DTYPES:
        raise ExportError("no array of this type", where=arg.name, found=arg.type, allowed=_DTYPES)
    return Port(arg.name, tuple(size if isinstance(size, int) else None for size in arg.shape), _DTYPES[arg.type])


def reason(err: BaseException) -> str:
    """The first line of what ONNX Runtime says, without its codes."""
    if isinstance(err, UnicodeDecodeError):
        return "its message is no text"
    return _CODES.sub("", str(err).strip().partition("\n")[0])


def _kernels(events: list[dict[str, Any]]) -> list[Kernel]:
    """The nodes of a profile, in the order of their first run; the first two runs of each are not counted."""
    taken: dict[str, list[int]] = {}
    arguments: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            taken.setdefault(name, []).append(event["dur"])
            arguments[name] = event["args"]
    kernels = []
    for name, times in taken.items():
        node, args = _NODE.match(name), arguments[name]
        op, outputs = args["op_name"], args["output_type_shape"]
        reads, gives = _precision(args["input_type_shape"]), _precision(outputs)
        precision = f"{reads} to {gives}" if op in _CONVERT and reads != gives else reads
        warm = sorted(times[_COLD:] or times)
        microseconds = round(statistics.fmean(warm[: (len(warm) + 1) // 2]), 1)
        layers = node.groups() if node else ()
        kernels.append(Kernel(name, op, precision, microseconds, layers, reads, gives, _shape(outputs)))
    return kernels


def _precision(ports: list[dict[str, Any]]) -> str:
    """Of the first input or output. Its type says what a kernel multiplies: QLinearConv and QGemm read uint8."""
    kind = next((next(iter(port)) for port in ports if port), "float")
    kind = {"float": "float32", "double": "float64", "uint8": "int8"}.get(kind, kind)
    return str(kind)


def _shape(ports: Sequence[Mapping[str, Sequence[int]]]) -> tuple[int, ...]:
    """Of the first output."""
    return tuple(int(size) for size in next((next(iter(port.values())) for port in ports if port), ()))
