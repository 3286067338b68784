"""ONNX Runtime's own product with a bias says what the operators said that it stands for, whatever the types."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxscript import ir

from edgekd.lower.passes.matmul_with_bias import MatmulWithBias

GRAPH = """<ir_version: 10, opset_import: ["" : 20]>
g (float[n,k,16] x) => (float[n,k,8] y)
{
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    wf = DequantizeLinear <axis = 1> (w, ws)
    m = MatMul (d, wf)
    y = Add (m, b)
}"""


def model(zero: np.generic, scales: int) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    constants = {
        "s": np.float32(0.03),
        "z": zero,
        "w": rng.integers(-63, 64, (16, 8)).astype(np.int8),
        "ws": rng.uniform(0.01, 0.1, scales).astype(np.float32).reshape((scales,) if scales > 1 else ()),
        "b": rng.normal(size=8).astype(np.float32),
    }
    proto = onnx.parser.parse_model(GRAPH.replace("{", "{").replace("}}", "}"))
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    for number, node in enumerate(proto.graph.node):
        node.name = f"n{number}"
    return proto


def answers(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """As the file stands: without ONNX Runtime's own fusions."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    (found,) = session.run(None, {"x": x})
    return np.asarray(found)


@pytest.mark.parametrize("scales", [1, 8], ids=["one scale", "a scale an output"])
@pytest.mark.parametrize("zero", [np.uint8(128), np.uint8(7), np.int8(-5)], ids=str)
def test_one_kernel_says_what_three_operators_said(zero: np.generic, scales: int) -> None:
    before = model(zero, scales)
    fused = ir.from_proto(before)
    MatmulWithBias()(fused)
    after = ir.to_proto(fused)
    assert [node.op_type for node in after.graph.node] == ["QuantizeLinear", "MatMulIntegerToFloat"]
    assert {entry.domain: entry.version for entry in after.opset_import}["com.microsoft"] == 1
    x = np.random.default_rng(1).normal(size=(3, 5, 16)).astype(np.float32)
    wanted = answers(before, x)
    assert np.abs(answers(after, x) - wanted).max() <= 1e-5 * np.ptp(wanted)
