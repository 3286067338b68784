"""What a traced int8 network rounds: sums of integers alone, or of floats, too."""

from __future__ import annotations

import pytest
from onnxscript import ir

from edgekd.lower import roundings

HEAD = '<ir_version: 10, opset_import: ["" : 20]>\n'
CONSTANTS = (
    "float s = {0.5}, uint8 z = {128}, int8[4,4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7}, float t = {0.25}"
)
IN = "q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) f = DequantizeLinear (w, t)"
OUT = "p = QuantizeLinear (a, s, z) y = DequantizeLinear (p, s, z)"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (f"{IN} a = MatMul (d, f) {OUT}", False),
        (f"{IN} m = Transpose (d) b = MatMul (m, f) a = Relu (b) {OUT}", False),
        (f"{IN} a = ReduceMean (d) {OUT}", False),
        (f"{IN} b = Relu (x) a = ReduceMean (b) {OUT}", True),
        (f"{IN} m = Concat <axis = 0> (d, d) b = MatMul (m, f) a = Relu (b) {OUT}", False),
        (f"{IN} m = Concat <axis = 0> (d, x) b = MatMul (m, f) a = Relu (b) {OUT}", True),
        (f"{IN} a = MatMul (x, f) {OUT}", True),
        (f"{IN} b = MatMul (d, f) a = Softmax (b) {OUT}", True),
        (f"{IN} b = MatMul (d, f) c = Relu (b) e = MatMul (c, f) a = Add (e, d) {OUT}", True),
        (f"{IN} b = MatMul (d, f) y = Softmax (b)", False),
    ],
    ids=[
        "a layer",
        "what is moved",
        "a mean",
        "a mean of floats",
        "two parts",
        "a part in float",
        "a float input",
        "a softmax",
        "two layers in a row",
        "at the end",
    ],
)
def test_sums_of_floats_that_are_rounded_are_seen(body: str, wanted: bool) -> None:
    text = f"{HEAD}g (float[4,4] x) => (float[4,4] y) <{CONSTANTS}> {{ {body} }}"
    assert roundings.rounds_float_sums(ir.from_onnx_text(text)) is wanted
