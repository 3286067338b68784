"""Biases far beyond what the weights of their channel could say in 32 bits: both runtimes answer as the graph does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnxscript import ir

from edgekd.lower.column import rewrite
from edgekd.runtime import backend as backends
from edgekd.spec import target

STEP = 0.03  # between two answers
LAYERS = {
    "linear": """g (float[n,4] x) => (float[n,2] y)
        <int8[2,4] w = {50, -60, 20, 10, 4, -8, 60, 1}, CONSTANTS> {
            ROUNDED  wf = DequantizeLinear <axis = 0> (w, s)  l = Gemm <transB = 1> (d, wf, b)  ANSWER }""",
    "convolution": """g (float[n,2,3,3] x) => (float[n,2,3,3] y)
        <int8[2,2,1,1] w = {50, -60, 4, -8}, CONSTANTS> {
            ROUNDED  wf = DequantizeLinear <axis = 0> (w, s)  l = Conv <kernel_shape = [1, 1]> (d, wf, b)  ANSWER }""",
    "a factor and a summand a channel": """g (float[n,2,3,3] x) => (float[n,2,3,3] y)
        <float[2,1,1] f = {0.75, 1e-12}, float[2,1,1] h = {0.5, -1}, float[n,2,3,3] d, float[n,2,3,3] p, CONSTANTS> {
            ROUNDED  p = Mul (d, f)  l = Add (p, h)  ANSWER }""",
}
PARTS = {
    "CONSTANTS": "float[2] s = {0.01, 1e-12}, float[2] b = {0.5, -1}, STEPS",
    "STEPS": "float xs = {0.02}, uint8 z = {128}, float ys = {0.03}",
    "ROUNDED": "q = QuantizeLinear (x, xs, z)  d = DequantizeLinear (q, xs, z)",
    "ANSWER": "r = QuantizeLinear (l, ys, z)  y = DequantizeLinear (r, ys, z)",
}


def model(name: str) -> onnx.ModelProto:
    """A layer between two roundings, the second of whose channels has weights next to zero."""
    text = LAYERS[name]
    for part, spelled in PARTS.items():
        text = text.replace(part, spelled)
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]>\n{text}')
    for i, node in enumerate(proto.graph.node):
        node.name = f"n{i}"
    return proto


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("runtime", ["ort-cpu", "openvino"])
def test_weights_next_to_zero_leave_their_bias_as_it_is(name: str, runtime: str) -> None:
    before, chosen = model(name), target.load(runtime)
    shape = [2, *(dim.dim_value for dim in before.graph.input[0].type.tensor_type.shape.dim[1:])]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    (wanted,) = ReferenceEvaluator(before).run(None, {"x": x})
    changed = ir.from_proto(before)
    rewrite(changed, chosen.passes)
    backend = backends.make(chosen.backend, dict(chosen.options), "t")
    files = backend.lower(ir.to_proto(changed).SerializeToString())
    answers = np.asarray(backend.open(files, batch=2).run({"x": x})["y"], np.float32)
    assert np.abs(wanted[:, 1] + 1).max() < STEP, "the bias alone"
    assert np.abs(answers - wanted).max() < 1.5 * STEP, "one step, where a sum falls between two"
