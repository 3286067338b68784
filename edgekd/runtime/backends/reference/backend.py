"""The reference: onnx's own evaluator in numpy. Slow, and right by definition; for parity, not for apps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import google.protobuf.message
import numpy as np
import onnx
import onnx.reference

from edgekd.base.errors import ExportError, IntegrityError, UsageError
from edgekd.runtime.backends._base import Array, Port, check_inputs, listed

FILE = "model.onnx"


@dataclass(frozen=True)
class Reference:
    """onnx's ReferenceEvaluator; takes no options."""

    def check(self) -> None:
        """Runs wherever onnx is installed."""

    def version(self) -> str:
        return f"onnx {onnx.__version__}"

    def lower(self, onnx: bytes) -> dict[str, bytes]:
        return {FILE: onnx}

    def open(self, files: Mapping[str, bytes], batch: int | None = None) -> ReferenceSession:
        """One session takes any batch: ``batch`` changes nothing."""
        name, data = next(iter(files.items()))
        try:
            model = onnx.load_model_from_string(data)
        except google.protobuf.message.DecodeError as err:
            raise IntegrityError("no ONNX model", where=name) from err
        if not model.graph.output:
            raise IntegrityError("no ONNX model", where=name, found=f"{len(data)} bytes without an output")
        return ReferenceSession(model)


class ReferenceSession:
    """A model, and an evaluator of its own."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        weights = {tensor.name for tensor in model.graph.initializer}
        self.inputs = listed((_port(value) for value in model.graph.input if value.name not in weights), "inputs")
        self.outputs = listed(map(_port, model.graph.output), "outputs")
        try:
            self._evaluator = onnx.reference.ReferenceEvaluator(model)
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as err:  # of names, too
            raise ExportError(f"the reference can't run the model: {err}", where=FILE) from err

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        check_inputs(self.inputs, arrays)
        try:
            results = self._evaluator.run(None, dict(arrays))
        except (RuntimeError, ValueError, IndexError, TypeError) as err:
            raise UsageError(f"the model does not run on these inputs: {err}", where="run") from err
        return {port.name: np.array(result) for port, result in zip(self.outputs, results, strict=True)}

    def fork(self) -> ReferenceSession:
        return ReferenceSession(self._model)


def _port(value: onnx.ValueInfoProto) -> Port:
    tensor = value.type.tensor_type
    if tensor.elem_type not in onnx.helper.get_all_tensor_dtypes():  # a sequence, a map, nothing at all
        raise ExportError("no array", where=value.name, found=value.type.WhichOneof("value"))
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Port(value.name, sizes, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name)
