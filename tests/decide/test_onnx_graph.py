"""An ONNX file as the fallback analysis reads it."""

from __future__ import annotations

import onnx.parser

from edgekd.decide import onnx_graph

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 2] x) => (float[N, 2] y)
<float s = {0.1}, int8 z = {3}, int8[2, 2] w = {1, 2, 3, 4}, float ws = {0.5}, float[2, 2] v = {1, 0, 0, 1}>
{
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
  dw = DequantizeLinear(w, ws)
  m = MatMul(d, dw)
  r = Relu(m)
  a = Add(r, d)
  p = MatMul(a, r)
  y = MatMul(p, v)
}
"""
GRAPH = onnx_graph.read(onnx.parser.parse_model(TEXT).SerializeToString())


def test_who_makes_and_who_reads_a_tensor() -> None:
    makes = {name: node.op for name in ("q", "m", "y") if (node := GRAPH.producer(name)) is not None}
    assert makes == {"q": "QuantizeLinear", "m": "MatMul", "y": "MatMul"} and GRAPH.producer("x") is None
    assert [node.op for node in GRAPH.readers("d")] == ["MatMul", "Add"] and GRAPH.readers("y") == ()
    assert GRAPH.dequantized("dw") and not GRAPH.dequantized("m")
    assert GRAPH.is_constant("dw") and GRAPH.is_constant("v") and not GRAPH.is_constant("d")


def test_a_zero_point_and_the_lowest_value_of_its_type() -> None:
    quantize = GRAPH.nodes[0]
    assert (quantize.zero, quantize.lowest) == (3, -128)


def test_what_a_scheme_wanted_leaves_out_products_of_activations_and_sums_of_floats() -> None:
    wanted = GRAPH.wanted({"linear", "add"})
    assert [(layer.kind, layer.node.outputs[0]) for layer in wanted] == [("linear", "m"), ("add", "a"), ("linear", "y")]
    assert [layer.kind for layer in GRAPH.wanted({"add"})] == ["add"] and GRAPH.wanted({"conv"}) == []


def test_floats_reach_back_to_where_they_were_last_quantized() -> None:
    add = next(node for node in GRAPH.nodes if node.op == "Add")
    assert [node.op for node in GRAPH.floats_behind(add)] == ["Relu", "MatMul"]


def test_bytes_are_counted_for_who_reads_them_through_a_dequantization_too() -> None:
    spent = GRAPH.bytes_by_op()
    assert spent["MatMul"] >= 4 + 16 and sum(spent.values()) == sum(GRAPH.constants.values())
    assert GRAPH.layers() == {"MatMul": 3}
