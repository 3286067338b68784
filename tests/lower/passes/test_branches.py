"""What a branch of an If reads is no part of the row of operators that it comes out of."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir

from edgekd.base import plugins
from edgekd.lower.passes._rounded import only_reader
from edgekd.lower.passes.distinct_bias import added

CONSTANTS = {
    "w": np.array([[1, -2], [3, 4]], np.float32),
    "codes": np.array([[1, -2], [3, 4]], np.int8),
    "s": np.array([0.5, 0.25], np.float32),
    "z": np.zeros(2, np.int8),
    "g": np.array([2, 3], np.float32),
}


def branching(layer: list[onnx.NodeProto], op: str) -> ir.Model:
    """A layer that gives l, and an If in whose branches alone l is added to or multiplied."""
    info = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xyuv"}
    branches = {
        name: helper.make_graph([helper.make_node(op, ["l", "g"], [out])], name, [], [info[out]])
        for name, out in (("then_branch", "u"), ("else_branch", "v"))
    }
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    nodes = [*layer, helper.make_node("If", ["c"], ["y"], **branches)]
    constants = [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items()]
    graph = helper.make_graph(nodes, "g", [info["x"], condition], [info["y"]], constants)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def one_branch(model: ir.Model) -> None:
    """Let one branch read something else, so that the other is the only reader."""
    other = [node for node in model.graph.all_nodes() if node.graph is not model.graph][1]
    other.replace_input_with(0, model.graph.inputs[0])


LAYERS = {
    "fold_into_linear": lambda: [helper.make_node("Gemm", ["x", "w"], ["l"], transB=1)],
    "fold_into_int8_linear": lambda: [
        helper.make_node("DequantizeLinear", ["codes", "s", "z"], ["wf"], axis=0),
        helper.make_node("Gemm", ["x", "wf"], ["l"], transB=1),
    ],
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_a_branch_keeps_its_factor_and_its_summand(kind: str, op: str) -> None:
    model = branching(LAYERS[kind](), op)
    one_branch(model)
    before = [node.op_type for node in model.graph.all_nodes()]
    plugins.build("passes", {"kind": kind}, "test")(model)
    assert [node.op_type for node in model.graph.all_nodes()] == before
    gemm = next(node for node in model.graph if node.op_type == "Gemm")
    assert len(gemm.inputs) == 2, "no bias of what is not always added"


def test_a_reader_in_a_branch_is_not_the_only_one() -> None:
    model = branching(LAYERS["fold_into_linear"](), "Add")
    one_branch(model)
    gemm = next(node for node in model.graph if node.op_type == "Gemm")
    assert len(gemm.outputs[0].uses()) == 1
    assert only_reader(gemm.outputs[0]) is None and added(gemm) is None
