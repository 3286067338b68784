"""What passes ask of activations between a QuantizeLinear and a DequantizeLinear."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from onnxscript import ir

from edgekd.lower.passes._rounded import Grid, grid, inner_sizes, only_reader, pads_itself, restored

TYPES = {np.dtype(np.uint8): (0, 255), np.dtype(np.int8): (-128, 127)}
GRAPH = """<ir_version: 10, opset_import: ["" : 20]>
g (float[n,2,k] x, uint8[n,2] c) => (float[n,2,k] y, float[n,2,k] o, float[n,2] e)
<float s = {0.5}, uint8 z = {3}, float[2] many = {0.5, 0.25}, uint8[2] zeros = {0, 0}, uint8[2] w = {1, 2},
 float[n,2] e>
{
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    r = QuantizeLinear <axis = 1> (d, many, zeros)
    y = DequantizeLinear <axis = 1> (r, many, zeros)
    bare = QuantizeLinear (d, s)
    o = DequantizeLinear (bare, s)
    f = DequantizeLinear (c, s, z)
    v = DequantizeLinear (w, s, z)
    e = Add (f, v)
}"""


@pytest.fixture(scope="module")
def values() -> dict[str, ir.Value]:
    graph = ir.from_proto(onnx.parser.parse_model(GRAPH)).graph
    inner = {str(out.name): out for node in graph for out in node.outputs}
    return inner | {str(value.name): value for value in graph.inputs}


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-300, 300, width=32), st.floats(2**-10, 4, width=32), st.sampled_from(list(TYPES)), st.integers(0, 255)
)
def test_a_code_is_that_of_the_operator(value: float, scale: float, dtype: np.dtype[np.generic], zero: int) -> None:
    least, most = TYPES[dtype]
    steps = Grid(np.float32(scale), np.array(zero + least, dtype)[()], least, most)  # type: ignore[arg-type]
    constants = [onnx.numpy_helper.from_array(np.float32(scale), "s"), onnx.numpy_helper.from_array(steps.zero, "z")]
    kind = "uint8" if least == 0 else "int8"
    graph = f'<ir_version: 10, opset_import: ["" : 20]> g (float x) => ({kind} y) {{ y = QuantizeLinear (x, s, z) }}'
    model = onnx.parser.parse_model(graph)
    model.graph.initializer.extend(constants)
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": np.float32(value)})
    assert steps.code(value) == int(wanted)


def test_steps_are_known_of_one_scale_and_a_zero_point(values: dict[str, ir.Value]) -> None:
    steps = grid(values["q"].producer(), "QuantizeLinear")
    assert steps is not None and (float(steps.scale), int(steps.zero), steps.least, steps.most) == (0.5, 3, 0, 255)
    assert grid(values["q"].producer(), "DequantizeLinear") is None and grid(None, "QuantizeLinear") is None
    assert grid(values["r"].producer(), "QuantizeLinear") is None, "a scale a channel"
    assert grid(values["bare"].producer(), "QuantizeLinear") is None, "no zero point"


def test_steps_are_the_same_where_all_of_them_is() -> None:
    steps = Grid(np.float32(0.5), np.uint8(3), 0, 255)  # type: ignore[arg-type]
    assert steps.same(steps._replace())
    assert not steps.same(steps._replace(scale=np.float32(0.25)))  # type: ignore[arg-type]
    assert not steps.same(steps._replace(zero=np.uint8(4)))
    assert not steps.same(steps._replace(zero=np.int8(3)))


def test_an_activation_is_restored_and_a_weight_is_not(values: dict[str, ir.Value]) -> None:
    assert restored(values["d"]) is not None and restored(values["f"]) is not None
    for name in ("v", "x", "q", "e", "y"):
        assert restored(values[name]) is None, name
    assert restored(None) is None


def test_inner_sizes_leave_the_batch_out(values: dict[str, ir.Value]) -> None:
    assert inner_sizes(values["c"]) == [2] and inner_sizes(values["e"]) == [2]
    assert inner_sizes(values["x"]) is None, "one is free"
    assert inner_sizes(values["q"]) is None, "nothing is known"


def test_an_only_reader_is_one_node_and_no_output(values: dict[str, ir.Value]) -> None:
    reader = only_reader(values["q"])
    assert reader is not None and reader.op_type == "DequantizeLinear"
    assert only_reader(values["d"]) is None, "two read it"
    assert only_reader(values["e"]) is None, "it is an output"


@pytest.mark.parametrize(
    ("attributes", "itself"),
    [({}, False), ({"auto_pad": "NOTSET"}, False)]
    + [({"auto_pad": how}, True) for how in ("SAME_UPPER", "SAME_LOWER", "VALID")],
)
def test_what_works_its_padding_out(attributes: dict[str, str], itself: bool) -> None:
    assert pads_itself(ir.node("Conv", [], attributes=attributes)) is itself
