"""Shape int8 linear layers as ONNX Runtime's and OpenVINO's integer kernels want to see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, producer, weight_dq


@dataclass(frozen=True)
class Int8Linear:
    """Transpose the int8 weights once, here: a Transpose between DequantizeLinear and MatMul hides the weight.

    ``Gemm(x, DQ(w), b, transB=1)`` -> ``Gemm(x, DQ(w^T, axis=1), DQ(b_int32))``, with an explicit zero point;
    ``MatMul(x, Transpose(DQ(w)))`` -> ``MatMul(x, DQ(w^T, axis=1))``. The int32 bias has scale s_x s_w, as the
    accumulator does (Jacob et al. 2018, section 2.4): without it the fused integer Gemm is not taken. A Gemm without a
    bias gets one of zeros.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Gemm" and attribute_int(node, "transB", 0) == 1:
                if _transpose_weight(model.graph, node, weight_dq(node.inputs[1])):
                    node.attributes.pop("transB")
                    _integer_bias(model.graph, node)
            elif node.op_type == "MatMul":
                turn = producer(node.inputs[1])
                if turn is not None and turn.op_type == "Transpose":
                    _transpose_weight(model.graph, node, weight_dq(turn.inputs[0]))
        drop_unused(model.graph)


def _transpose_weight(graph: ir.Graph, node: ir.Node, dq: ir.Node | None) -> bool:
    """Replace input 1 of a node by the dequantized transpose of ``dq``'s int8 matrix."""
    if dq is None:
        return False
    weight, scale = constant(dq.inputs[0]), constant(dq.inputs[1])
    if weight is None or scale is None or weight.ndim != 2:
        return False
    name = str(node.name)
    inputs = [
        add_constant(graph, f"{name}_weight", weight.T),
        add_constant(graph, f"{name}_weight_scale", scale),
        add_constant(graph, f"{name}_weight_zero", np.zeros(scale.shape, np.int8)),
    ]
    new = ir.node("DequantizeLinear", inputs, attributes={"axis": 1} if scale.ndim else {})
    graph.insert_before(node, new)
    node.replace_input_with(1, new.outputs[0])
    return True


def _moved(node: ir.Node | None) -> ir.Node | None:
    """What gave a tensor before it was only moved or picked from: OpenVINO's files do not round it again behind."""
    while node is not None and node.op_type in ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "MaxPool"):
        node = producer(node.inputs[0])
    return node


def _integer_bias(graph: ir.Graph, node: ir.Node) -> None:
    x, weight = _moved(producer(node.inputs[0])), producer(node.inputs[1])
    codes = None if weight is None else constant(weight.inputs[0])
    if weight is None or codes is None:
        return
    if len(node.inputs) < 3 or node.inputs[2] is None:  # OpenVINO answers wrongly without one: see distinct_bias
        node.resize_inputs(3)
        node.replace_input_with(2, add_constant(graph, f"{node.name}_no_bias", np.zeros(codes.shape[1], np.float32)))
    bias = constant(node.inputs[2])
    if x is None or bias is None or x.op_type != "DequantizeLinear":
        return
    x_scale, w_scale = constant(x.inputs[1]), constant(weight.inputs[1])
    if x_scale is None or w_scale is None or x_scale.size != 1:
        return
    scale = (x_scale.astype(np.float32) * w_scale.astype(np.float32)).reshape(w_scale.shape)
    limit = 2.0**31 - 1
    whole = np.clip(np.rint(bias.astype(np.float64) / scale), -limit, limit).astype(np.int32)
    name = str(node.name)
    inputs = [add_constant(graph, f"{name}_bias", whole), add_constant(graph, f"{name}_bias_scale", scale)]
    new = ir.node("DequantizeLinear", inputs, attributes={"axis": 0} if scale.ndim else {})
    graph.insert_before(node, new)
    node.replace_input_with(2, new.outputs[0])
