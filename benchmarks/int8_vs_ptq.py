"""Our int8 files against what others make of the same fp32 export, one thread, interleaved.

On ONNX Runtime: its own ``quantize_static`` (QDQ, per-channel, uint8 activations) after its own pre-processing.
On OpenVINO: NNCF's post-training quantization. Several fresh processes, the candidates in another order in each.

    pip install nncf    # only for this script
    python benchmarks/int8_vs_ptq.py [--rounds 6] [--seconds 2]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import _common
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization as ortq
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgekd import target
from edgekd.runtime import bench
from edgekd.runtime.backends import _base as backends

Files = dict[str, bytes]


class Reader(ortq.CalibrationDataReader):
    """Calibration batches as ONNX Runtime's quantizer reads them."""

    def __init__(self, name: str) -> None:
        self._batches = iter(_common.calibration(name))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"input": batch.numpy()}


def quantize_static(fp32: bytes, name: str) -> Files:
    """ONNX Runtime's own quantizer."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / file) for file in ("fp32.onnx", "prepared.onnx", "int8.onnx")]
        Path(paths[0]).write_bytes(fp32)
        quant_pre_process(paths[0], paths[1])
        ortq.quantize_static(
            paths[1],
            paths[2],
            Reader(name),
            quant_format=ortq.QuantFormat.QDQ,
            per_channel=True,
            activation_type=ortq.QuantType.QUInt8,
            weight_type=ortq.QuantType.QInt8,
        )
        return {"model.onnx": Path(paths[2]).read_bytes()}


def nncf_ptq(fp32: bytes, name: str) -> Files:
    """NNCF's post-training quantization of the same file."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # nothing is sent from here
    import nncf  # noqa: PLC0415
    import openvino  # noqa: PLC0415

    model = openvino.Core().read_model(fp32)
    rows = [row[None] for batch in _common.calibration(name) for row in batch.numpy()]
    quantized = nncf.quantize(model, nncf.Dataset(rows), subset_size=len(rows))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openvino_model.xml"
        openvino.save_model(quantized, path, compress_to_fp16=False)
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir(), reverse=True)}


def optimized_counts(onnx_file: bytes) -> Counter[str]:
    """Operators of ONNX Runtime's optimized graph."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)


def compare(name: str, target_name: str, candidates: dict[str, Files], rounds: int, seconds: float) -> dict[str, Any]:
    """Ratios of ours to the others over all rounds, and of each round alone."""
    chosen = target.load(target_name)
    x = _common.calibration(name, 1, 1)[0].numpy()
    pooled: dict[str, list[NDArray[np.int64]]] = {key: [] for key in candidates}
    others: list[float] = []
    order = list(candidates)
    for i in range(rounds):
        random.Random(i).shuffle(order)
        job = bench.BenchJob(
            chosen.backend,
            {key: candidates[key] for key in order},
            "ours",
            {"input": x},
            options=chosen.options,
            batch=1,
            min_seconds=seconds,
        )
        result = bench.bench_in_subprocess(job)
        others.append(result.others or 0.0)
        for key, samples in result.samples.items():
            pooled[key].append(samples)
    table: dict[str, Any] = {"cpus_used_by_others": others, "rounds": rounds}
    for key, parts in pooled.items():
        samples = np.concatenate(parts)
        ratio, ci = bench.ratio_ci(np.concatenate(pooled["ours"]), samples)
        each = [float(np.median(a) / np.median(b)) for a, b in zip(pooled["ours"], parts, strict=True)]
        p50 = float(np.median(samples)) / 1e6
        table[key] = {"p50_ms": p50, "samples": len(samples), "ours_over_it": ratio, "ci95": ci, "each_round": each}
    return table


def run(name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Both targets of one net."""
    student = _common.net(name)
    raw = _common.raw_int8_bytes(student)
    limit = 1.15 * raw + 16_000
    found: dict[str, Any] = {"raw_int8_bytes": raw, "size_limit": limit}
    for target_name, peer in (("ort-cpu", "quantize_static"), ("openvino", "nncf_ptq")):
        backend = backends.make(target.load(target_name).backend, {}, target_name)
        dense = _common.fp32(student, target_name)
        ours, _ = _common.int8(student, name, target_name)
        theirs = (quantize_static if peer == "quantize_static" else nncf_ptq)(dense, name)
        candidates = {"ours": backend.lower(ours), peer: theirs, "fp32": backend.lower(dense)}
        table = compare(name, target_name, candidates, rounds, seconds)
        sizes = {key: {file: len(data) for file, data in files.items()} for key, files in candidates.items()}
        table["bytes"] = sizes
        if target_name == "ort-cpu":
            for key in ("ours", peer):
                counts = optimized_counts(candidates[key]["model.onnx"])
                table[key]["left_in_optimized_graph"] = {
                    op: counts[op] for op in ("QuantizeLinear", "DequantizeLinear", "Conv", "QLinearConv")
                }
        weights = next(size for file, size in sizes["ours"].items() if not file.endswith(".xml"))
        table["ours"]["size_over_limit"] = weights / limit
        found[target_name] = table
        said = table[peer]
        print(
            f"{name} {target_name}: ours / {peer} {said['ours_over_it']:.3f} "
            f"({said['ci95'][0]:.3f} to {said['ci95'][1]:.3f}); of fp32 {table['fp32']['ours_over_it']:.3f}; "
            f"{weights:,} bytes = {weights / limit:.2f} of the limit; rounds {np.round(said['each_round'], 3)}; "
            f"{table['ours'].get('left_in_optimized_graph', '')}",
            flush=True,
        )
    return found


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("nets", nargs="*", default=["resnet20", "mobilenet"])
    given = parser.parse_args()
    _common.write("int8_vs_ptq", {name: run(name, given.rounds, given.seconds) for name in given.nets})


if __name__ == "__main__":
    main()
