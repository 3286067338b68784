"""What an exporter leaves at nodes and values, for which ONNX's text has no place."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper
from onnxscript import ir

from edgekd.lower.passes.strip_metadata import StripMetadata

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[n,2] x) => (float[n,2] y)
<float[2] b = {1, 2}>
{
    r = Relu (x)
    y = Add (r, b)
}
"""


def test_nothing_stands_at_nodes_and_values() -> None:
    model = ir.from_proto(onnx.parser.parse_model(TEXT))
    graph = model.graph
    values = [*graph.inputs, *graph.initializers.values(), *(node.outputs[0] for node in graph)]
    parts = [*values, *graph, graph]
    for part in parts:
        part.doc_string = "a line of Python"
        part.metadata_props["namespace"] = "a module"
    words = (b"a line of Python", b"namespace", b"a module")
    assert [ir.to_proto(model).SerializeToString().count(word) for word in words] == [len(parts)] * 3
    StripMetadata()(model)
    assert [ir.to_proto(model).SerializeToString().count(word) for word in words] == [0] * 3


def branching() -> onnx.ModelProto:
    """An If whose branches read what stands around them."""
    x, c, y, u, v = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("x", TensorProto.FLOAT, ["n", 2]),
            ("c", TensorProto.BOOL, []),
            *((name, TensorProto.FLOAT, ["n", 2]) for name in "yuv"),
        )
    )
    inner = helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 2])
    first = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["u"])]
    then_branch = helper.make_graph(first, "t", [], [u], value_info=[inner])
    else_branch = helper.make_graph([helper.make_node("Neg", ["x"], ["v"])], "e", [], [v])
    node = helper.make_node("If", ["c"], ["y"], then_branch=then_branch, else_branch=else_branch)
    graph = helper.make_graph([node], "g", [x, c], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def inner_types(model: ir.Model) -> list[str]:
    """The values in branches whose types are written."""
    (node,) = ir.to_proto(model).graph.node
    return [info.name for attribute in node.attribute for info in attribute.g.value_info if info.type.ByteSize()]


def test_nothing_stands_in_branches_but_the_types_of_what_they_give() -> None:
    model = ir.from_proto(branching())
    branches = list(model.graph.subgraphs())
    for branch in branches:
        for part in (branch, *branch, *(node.outputs[0] for node in branch)):
            part.doc_string = "a line of Python"
            part.metadata_props["namespace"] = "a module"
    words = (b"a line of Python", b"namespace", b"a module")
    assert all(word in ir.to_proto(model).SerializeToString() for word in words) and inner_types(model) == ["a"]
    StripMetadata()(model)
    assert not any(word in ir.to_proto(model).SerializeToString() for word in words) and not inner_types(model)
    assert len(branches) == 2
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
