"""Neural Compressor's package for ONNX files: static quantization."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnx_neural_compressor import data_reader
from onnx_neural_compressor.quantization import config, quantize

from peers._samples import Feed, Folder


class Reader(data_reader.CalibrationDataReader):
    """Calibration samples, again from the start when asked."""

    def __init__(self, feeds: list[Feed]) -> None:
        self._feeds = feeds
        self.rewind()

    def get_next(self) -> Feed | None:
        return next(self._left, None)

    def rewind(self) -> None:
        self._left = iter(self._feeds)


def static(net: Folder) -> dict[str, bytes]:
    """Its default static configuration, for the CPU, with all calibration samples."""
    feeds = net.feeds("calibration")
    asked = config.StaticQuantConfig(
        Reader(feeds), calibration_sampling_size=len(feeds), execution_provider="CPUExecutionProvider"
    )
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        fp32.write_bytes(net.fp32("ort-cpu"))
        quantize(str(fp32), str(int8), asked, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
        return {"model.onnx": onnx.load(int8).SerializeToString()}  # its weights may lie in a file beside it


PEERS = {"onnx_neural_compressor": static}
