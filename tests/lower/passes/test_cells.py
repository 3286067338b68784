"""The int8 matrices of an LSTM, seen through what the exporter does to put its gates in ONNX's order."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxscript import ir

from edgekd.lower.passes._cells import cells_of, direction_of

GRAPH = """<ir_version: 10, opset_import: ["" : 20]>
g (float[3,n,1] x) => (float[3,2,n,1] y)
<int8[4,1] w = {1, 2, 3, 4}, float[4] ws = {1, 2, 3, 4}, float s = {0.5}, int64[1] a = {0}, int64[1] b = {1},
 int64[1] c = {2}, int64[1] d = {4}>
{
    wf = DequantizeLinear <axis = 0> (w, ws)
    head = Slice (wf, a, c, a)
    tail = Slice (wf, c, d, a, b)
    turned = Concat <axis = 0> (tail, head)
    one = Unsqueeze (turned, a)
    plain = DequantizeLinear (w, s)
    other = Unsqueeze (plain, a)
    both = Concat <axis = 0> (one, other)
    y = LSTM <hidden_size = 1, direction = "bidirectional"> (x, both, both)
}"""


def lstm(text: str) -> ir.Node:
    model = ir.from_proto(onnx.parser.parse_model(text))
    return next(node for node in model.graph if node.op_type == "LSTM")


def test_codes_and_scales_move_together() -> None:
    node = lstm(GRAPH)
    cells = cells_of(node)
    assert cells is not None and direction_of(node) == "bidirectional"
    np.testing.assert_array_equal(cells.input.codes[..., 0], [[3, 4, 1, 2], [1, 2, 3, 4]])
    np.testing.assert_array_equal(cells.input.scales, [[3, 4, 1, 2], [0.5] * 4])
    assert cells.input.codes.dtype == np.int8 and cells.state.codes.shape == (2, 4, 1)


@pytest.mark.parametrize(
    ("this", "instead"),
    [
        ("hidden_size = 1,", "hidden_size = 1, clip = 3.0,"),
        ("hidden_size = 1,", "hidden_size = 1, input_forget = 1,"),
        ("hidden_size = 1,", "hidden_size = 1, layout = 1,"),
        ("(plain, a)", "(x, a)"),
        ("other = Unsqueeze (plain, a)", "more = Relu (plain)\n    other = Unsqueeze (more, a)"),
        ("(x, both, both)", '(x, both, both, "", "", "", "", other)'),
    ],
)
def test_what_is_another_cell_or_computes_its_weights_is_none(this: str, instead: str) -> None:
    assert this in GRAPH and cells_of(lstm(GRAPH.replace(this, instead))) is None
