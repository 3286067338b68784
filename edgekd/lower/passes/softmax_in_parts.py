"""Softmax as the operators that it is made of, whose answers do not depend on how wide a CPU's vectors are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, replace


@dataclass(frozen=True)
class SoftmaxInParts:
    """``Softmax(x)`` -> ``e / sum(e)`` with ``e = exp(x - max(x))``.

    ONNX Runtime's Softmax adds up as many partial sums as a vector register holds, so that a CPU with AVX-512 rounds
    otherwise than one with AVX2; an int8 step behind it then now and then falls on the other side. Of the float
    operators of a transformer it is the only one that does. Its ReduceSum adds in the same order everywhere.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Softmax" and node.domain == "" and node.inputs[0] is not None:
                _in_parts(model.graph, node, node.inputs[0], model.opset_imports[""])


def _in_parts(graph: ir.Graph, node: ir.Node, x: ir.Value, opset: int) -> None:
    old, axis = node.outputs[0], [attribute_int(node, "axis", -1)]
    axes = add_constant(graph, f"{old.name}_axis", np.array(axis, np.int64))
    most = ir.node("ReduceMax", [x, axes]) if opset >= 18 else ir.node("ReduceMax", [x], {"axes": axis})
    shifted = ir.node("Sub", [x, most.outputs[0]])
    grown = ir.node("Exp", [shifted.outputs[0]])
    whole = ir.node("ReduceSum", [grown.outputs[0], axes])
    share = ir.node("Div", [grown.outputs[0], whole.outputs[0]])
    graph.insert_before(node, [most, shifted, grown, whole, share])
    replace(old, share.outputs[0])
    graph.remove(node, safe=True)
