"""What ``Model.run`` adds to the best raw Python call of the same runtime, and what importing the runtime part costs.

A no-op graph; raw means a fresh array in and a fresh array out. Calls in turns, in one process; imports in fresh ones.

    python benchmarks/call_overhead.py
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import _common
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import edgekd
from edgekd.runtime import backend as backends
from edgekd.runtime import bundle as bundles
from edgekd.runtime.bundle import Bundle, Variant
from edgekd.runtime.model import Model
from edgekd.tasks import Heads

SHAPE = (1, 8)


def noop() -> bytes:
    """input -> Identity -> logits."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("input", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["input"], ["logits"])], "noop", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def models(folder: Path) -> dict[str, Model]:
    """Our models of the no-op graph, from a bundle."""
    variants = []
    for target, backend in (("ort-cpu", "ort"), ("openvino", "openvino")):
        files = backends.make(backend, {}, target).lower(noop())
        variants.append(Variant(target, backend, {}, files, (), "fp32", False, 1, 1e-3))
    labels = [str(i) for i in range(8)]
    about = Bundle(
        "noop",
        {"kind": "classification"},
        "0" * 64,
        labels,
        Heads({"logits": 8}),
        [],
        [8],
        True,
        variants,
        sample_dtype="float32",
    )
    bundles.write(folder, about, {})
    return {variant.target: edgekd.load(folder, target=variant.target) for variant in variants}


def answer(model: Model, x: np.ndarray) -> Mapping[str, np.ndarray]:
    """What an app calls."""
    return model.run({"input": x})


def raw_ort() -> Callable[[np.ndarray], np.ndarray]:
    """Bound buffers, a copy in and a copy out: the fastest way we know."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(noop(), options, providers=["CPUExecutionProvider"])
    binding, buffer = session.io_binding(), np.empty(SHAPE, np.float32)
    binding.bind_cpu_input("input", buffer)
    binding.bind_output("logits", "cpu")

    def call(x: np.ndarray) -> np.ndarray:
        buffer[...] = x
        session.run_with_iobinding(binding)
        found: np.ndarray = binding.copy_outputs_to_cpu()[0]
        return found

    return call


def raw_openvino() -> Callable[[np.ndarray], np.ndarray]:
    """Tensors set once, a copy in and a copy out."""
    import openvino  # noqa: PLC0415  # after our backend, which keeps its telemetry away

    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(noop()), "CPU", config).create_infer_request()
    given, made = request.get_input_tensor().data, request.get_output_tensor().data

    def call(x: np.ndarray) -> np.ndarray:
        given[...] = x
        request.infer(None, share_outputs=True)
        return np.array(made)

    return call


def p50s(calls: dict[str, Callable[[np.ndarray], Any]], turns: int = 400, block: int = 50) -> dict[str, float]:
    """Median microseconds of each call, in turns."""
    taken: dict[str, list[int]] = {name: [] for name in calls}
    x = np.zeros(SHAPE, np.float32)
    for _ in range(turns):
        for name, call in calls.items():
            call(x)
            for _ in range(block):
                fresh = np.zeros(SHAPE, np.float32)
                started = time.perf_counter_ns()
                call(fresh)
                taken[name].append(time.perf_counter_ns() - started)
    return {name: float(np.median(values)) / 1e3 for name, values in taken.items()}


def import_seconds(statement: str) -> float:
    """Seconds of an import in a fresh Python, of modules that are compiled, as pip leaves them."""
    code = f"import time; s = time.perf_counter(); {statement}; print(time.perf_counter() - s)"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)


def imports(rounds: int = 15) -> dict[str, float]:
    """Medians, in turns: numpy and ONNX Runtime alone, and through us."""
    statements = {
        "numpy + onnxruntime": "import numpy, onnxruntime",
        "edgekd.runtime with ort": "import edgekd.runtime.model, edgekd.runtime.backends.ort.backend",
    }
    taken: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds):
        for name, statement in statements.items():
            taken[name].append(import_seconds(statement))
    return {name: median(values) for name, values in taken.items()}


def main() -> None:
    """Measure and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        ours = models(Path(folder) / "noop")
    table: dict[str, Any] = {}
    for name, raw in (("ort-cpu", raw_ort()), ("openvino", raw_openvino())):
        model = ours[name]
        found = p50s({"raw": raw, "ours": functools.partial(answer, model)})
        table[name] = {**found, "added_us": found["ours"] - found["raw"]}
        print(f"{name}: raw {found['raw']:.1f} us, ours {found['ours']:.1f} us, adds {table[name]['added_us']:.1f} us")
    seconds = imports()
    ratio = seconds["edgekd.runtime with ort"] / seconds["numpy + onnxruntime"]
    print(f"import: {ratio:.2f} x numpy + onnxruntime ({seconds})")
    _common.write("call_overhead", {"call_us": table, "import_s": seconds, "import_ratio": ratio})


if __name__ == "__main__":
    onnx.checker.check_model(noop())
    main()
