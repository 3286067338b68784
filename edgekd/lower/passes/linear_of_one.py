"""A linear layer from one number to one number is a product by entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, int8_matrix, replace


@dataclass(frozen=True)
class LinearOfOne:
    """``MatMul`` and ``Gemm`` of (N, 1) with a constant (1, 1), int8 or float -> ``Mul``, and ``Add`` of the bias.

    OpenVINO 2026.4 can't compile such a layer for a fixed batch: "Layout rank can't be larger than tensor rank".
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            shape = node.outputs[0].shape  # unknown where a pass has folded something into the layer
            if node.op_type == "Gemm" or (node.op_type == "MatMul" and (shape is None or len(shape) == 2)):
                _one(model.graph, node)
        drop_unused(model.graph)


def _one(graph: ir.Graph, node: ir.Node) -> None:
    factor = _number(node.inputs[1])
    if factor is None or constant(node.inputs[0]) is not None:
        return
    alpha, beta = (
        float(node.attributes[key].as_float()) if key in node.attributes else 1.0 for key in ("alpha", "beta")
    )
    if attribute_int(node, "transA", 0) or beta != 1.0:
        return
    product = ir.node("Mul", [node.inputs[0], add_constant(graph, f"{node.name}_factor", factor * np.float32(alpha))])
    graph.insert_before(node, product)
    last = product
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        last = ir.node("Add", [product.outputs[0], node.inputs[2]])
        graph.insert_before(node, last)
    replace(node.outputs[0], last.outputs[0])


def _number(value: ir.Value | None) -> np.ndarray | None:
    """The one number, (1,), of a constant matrix (1, 1), or of one that an int8 is; None of any other."""
    array, of_int8 = constant(value), int8_matrix(value, axis=0) or int8_matrix(value, axis=1)
    if array is None and of_int8 is not None:
        weight, scale = of_int8
        array = weight.astype(np.float32) * scale.reshape(-1)[:1].astype(np.float32)
    if array is None or array.shape != (1, 1) or array.dtype != np.float32:
        return None
    return array.reshape(1)
