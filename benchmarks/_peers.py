"""What others make of the same fp32 export: ONNX Runtime's static and dynamic quantizers, NNCF's PTQ."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization as ortq
from onnxruntime.quantization.shape_inference import quant_pre_process

Feeds = Sequence[dict[str, np.ndarray]]


class Reader(ortq.CalibrationDataReader):
    """Calibration samples as ONNX Runtime's quantizer reads them."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


CALIBRATIONS = tuple(method.name for method in ortq.CalibrationMethod if method.name != "Distribution")


def quantize_static(fp32: bytes, feeds: Feeds, method: str = "MinMax") -> bytes:
    """ONNX Runtime's own: Q/DQ, per-channel int8 weights, uint8 activations, after its own pre-processing."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / file) for file in ("fp32.onnx", "prepared.onnx", "int8.onnx")]
        Path(paths[0]).write_bytes(fp32)
        quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True)
        ortq.quantize_static(
            paths[1],
            paths[2],
            Reader(feeds),
            quant_format=ortq.QuantFormat.QDQ,
            per_channel=True,
            activation_type=ortq.QuantType.QUInt8,
            weight_type=ortq.QuantType.QInt8,
            calibrate_method=ortq.CalibrationMethod[method],
        )
        return Path(paths[2]).read_bytes()


def quantize_dynamic(fp32: bytes, feeds: Feeds) -> bytes:
    """ONNX Runtime's own, with scales of activations found at run time; convolutions left in float, as it advises."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / file) for file in ("fp32.onnx", "int8.onnx")]
        Path(paths[0]).write_bytes(fp32)
        ortq.quantize_dynamic(
            *paths, op_types_to_quantize=["MatMul", "Gemm", "Gather"], weight_type=ortq.QuantType.QInt8
        )
        return Path(paths[1]).read_bytes()


def nncf_ptq(fp32: bytes, feeds: Feeds) -> bytes:
    """NNCF's post-training quantization of the ONNX file."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # nothing is sent from here
    import nncf  # noqa: PLC0415

    text = any("mask" in name for name in feeds[0])
    more = {"model_type": nncf.ModelType.TRANSFORMER} if text else {}
    model = onnx.load_from_string(fp32)
    return nncf.quantize(model, nncf.Dataset(list(feeds)), subset_size=len(feeds), **more).SerializeToString()


def nncf_openvino(fp32: bytes, feeds: Feeds, tokens: bool = False) -> dict[str, bytes]:
    """The same on OpenVINO's reading of the file: an IR. ``tokens``: it is a transformer, also without a mask."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import nncf  # noqa: PLC0415
    import openvino  # noqa: PLC0415

    text = tokens or any("mask" in name for name in feeds[0])
    more = {"model_type": nncf.ModelType.TRANSFORMER} if text else {}
    model = openvino.Core().read_model(fp32)
    quantized = nncf.quantize(model, nncf.Dataset(list(feeds)), subset_size=len(feeds), **more)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openvino_model.xml"
        openvino.save_model(quantized, path, compress_to_fp16=False)
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir(), reverse=True)}


ONNX: dict[str, Callable[[bytes, Feeds], bytes]] = {
    "ort_static": quantize_static,
    "ort_dynamic": quantize_dynamic,
    "nncf": nncf_ptq,
}


def optimized_counts(onnx_file: bytes) -> Counter[str]:
    """Operators of ONNX Runtime's optimized graph."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)
