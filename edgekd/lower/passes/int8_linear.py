"""Shape int8 linear layers as ONNX Runtime's and OpenVINO's integer kernels want to see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import (
    add_constant,
    attribute_int,
    constant,
    drop_unused,
    int8_matrix,
    producer,
    weight_dq,
)

LARGEST = 2.0**30  # of an integer bias: half of what an int32 accumulator holds is left to the products


@dataclass(frozen=True)
class Int8Linear:
    """Transpose the int8 weights once, here: a Transpose between DequantizeLinear and MatMul hides the weight.

    ``Gemm(x, DQ(w), b, transB=1)`` -> ``Gemm(x, DQ(w^T, axis=1), DQ(b_int32))``, with an explicit zero point;
    ``MatMul(x, Transpose(DQ(w)))`` -> ``MatMul(x, DQ(w^T, axis=1))``. The int32 bias has scale s_x s_w, as the
    accumulator does (Jacob et al. 2018, section 2.4): without it the fused integer Gemm is not taken. A Gemm without a
    bias gets one of zeros.

    Where weights next to zero make that scale so small that a bias would not fit, the scale of their channel grows;
    what they lose is far below what the sum shows. So it does for a Conv, whose bias ONNX Runtime rounds itself without
    asking whether it fits.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Gemm" and attribute_int(node, "transB", 0) == 1:
                _make_room(model.graph, node)
                if _transpose_weight(model.graph, node, weight_dq(node.inputs[1])):
                    node.attributes.pop("transB")
                    _integer_bias(model.graph, node)
            elif node.op_type == "Conv":
                _make_room(model.graph, node)
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


def _scale_of(value: ir.Value | None) -> NDArray[np.float32] | None:
    """(1,) the scale of what is restored from 8 bits, and perhaps moved; None of anything else."""
    x = _moved(producer(value))
    scale = constant(x.inputs[1]) if x is not None and x.op_type == "DequantizeLinear" else None
    return None if scale is None or scale.size != 1 else scale.astype(np.float32).reshape(1)


def _make_room(graph: ir.Graph, node: ir.Node) -> None:
    """Let the scales grow of channels whose weights are so small that an integer bias of theirs would not fit.

    Of a Conv, or of a Gemm as it is exported: the weight's first axis is that of the outputs.
    """
    matrix, x_scale = int8_matrix(node.inputs[1]), _scale_of(node.inputs[0])
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if matrix is None or x_scale is None or bias is None or bias.size not in (1, matrix[0].shape[0]):
        return
    weight, channels = matrix[0], matrix[0].shape[0]
    before = np.broadcast_to(matrix[1].astype(np.float32).reshape(-1), (channels,))
    least = np.abs(bias.astype(np.float64).reshape(-1)) / (x_scale.astype(np.float64) * LARGEST)
    after = np.maximum(before, least).astype(np.float32)
    grows = after > before
    if not grows.any():
        return
    share = np.divide(before, after, out=np.ones(channels), where=grows, dtype=np.float64)
    codes = np.rint(weight.astype(np.float64) * share.reshape(-1, *[1] * (weight.ndim - 1)))
    base = f"{node.name}_with_room"
    inputs = [
        add_constant(graph, f"{base}_weight", codes.astype(np.int8)),
        add_constant(graph, f"{base}_scale", after),
        add_constant(graph, f"{base}_zero", np.zeros(channels, np.int8)),
    ]
    new = ir.node("DequantizeLinear", inputs, attributes={"axis": 0})
    graph.insert_before(node, new)
    node.replace_input_with(1, new.outputs[0])


def _integer_bias(graph: ir.Graph, node: ir.Node) -> None:
    weight, x_scale = producer(node.inputs[1]), _scale_of(node.inputs[0])
    codes = None if weight is None else constant(weight.inputs[0])
    if weight is None or codes is None:
        return
    if len(node.inputs) < 3 or node.inputs[2] is None:  # OpenVINO answers wrongly without one: see distinct_bias
        node.resize_inputs(3)
        node.replace_input_with(2, add_constant(graph, f"{node.name}_no_bias", np.zeros(codes.shape[1], np.float32)))
    bias, w_scale = constant(node.inputs[2]), constant(weight.inputs[1])
    if bias is None or x_scale is None or w_scale is None:
        return
    scale = (x_scale * w_scale.astype(np.float32)).reshape(w_scale.shape)
    limit = 2.0**31 - 1
    steps = np.where(scale > 0, scale, np.float32(1))  # a product of two scales may be too small for a float32
    whole = np.clip(np.rint(bias.astype(np.float64) / steps), -limit, limit).astype(np.int32)
    name = str(node.name)
    inputs = [add_constant(graph, f"{name}_bias", whole), add_constant(graph, f"{name}_bias_scale", scale)]
    new = ir.node("DequantizeLinear", inputs, attributes={"axis": 0} if scale.ndim else {})
    graph.insert_before(node, new)
    node.replace_input_with(2, new.outputs[0])
