"""A factor and a summand for each output of an int8 linear layer go into its scales and its bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, int8_matrix, replace
from edgekd.lower.passes._rounded import only_reader

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FoldIntoInt8Linear:
    """``Gemm(x, DQ(w, s), b) * g + h`` -> ``Gemm(x, DQ(w sign(g), s |g|), b g + h)``: a BatchNorm behind a Linear.

    Not a weight is rounded again: only its sign may change, which 8 symmetric bits have room for. Without the fold
    neither runtime takes its fused integer layer, and OpenVINO 2026.4 answers wrongly for small batches (see
    ``distinct_bias``).
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Gemm" and attribute_int(node, "transB", 0) == 1:
                while _fold_next(model.graph, node):
                    pass
        drop_unused(model.graph)


def _fold_next(graph: ir.Graph, gemm: ir.Node) -> bool:
    """Take the Mul or Add that alone reads a layer into it; whether there was one."""
    out = gemm.outputs[0]
    user = only_reader(out)
    if user is None or user.op_type not in ("Mul", "Add"):
        return False
    other = next((value for value in user.inputs if value is not out), None)
    values = constant(other)
    matrix = int8_matrix(gemm.inputs[1])
    if values is None or matrix is None:
        return False
    weight, scale = matrix
    if not _per_output(values, weight.shape[0]):
        return False
    each = np.broadcast_to(values.astype(np.float32).reshape(-1), (weight.shape[0],))
    bias = _bias(gemm, weight.shape[0])
    if bias is None:
        return False
    if user.op_type == "Mul":
        _scale_weight(graph, gemm, weight, scale, each)
        _set_bias(graph, gemm, bias * each)
    else:
        _set_bias(graph, gemm, bias + each)
    replace(user.outputs[0], out)
    graph.remove(user, safe=True)
    return True


def _per_output(values: NDArray[np.generic], outputs: int) -> bool:
    """Whether a constant has one entry, or one for each output, along the last axis."""
    return values.size == 1 or (values.size == outputs and values.shape[-1] == outputs)


def _bias(gemm: ir.Node, outputs: int) -> Floats | None:
    if len(gemm.inputs) < 3 or gemm.inputs[2] is None:
        return np.zeros(outputs, np.float32)
    bias = constant(gemm.inputs[2])
    return None if bias is None else np.broadcast_to(bias.astype(np.float32).reshape(-1), (outputs,))


def _set_bias(graph: ir.Graph, gemm: ir.Node, bias: Floats) -> None:
    gemm.resize_inputs(3)
    gemm.replace_input_with(2, add_constant(graph, f"{gemm.name}_folded_bias_{len(graph.initializers)}", bias))


def _scale_weight(
    graph: ir.Graph, gemm: ir.Node, weight: NDArray[np.generic], scale: NDArray[np.generic], factor: Floats
) -> None:
    rows = weight.astype(np.int16) * np.sign(factor).astype(np.int16)[:, None]
    scales = np.where(factor == 0, np.float32(1), np.abs(factor)) * scale.astype(np.float32)
    base = f"{gemm.name}_folded_{len(graph.initializers)}"
    inputs = [
        add_constant(graph, f"{base}_weight", np.clip(rows, -127, 127).astype(np.int8)),
        add_constant(graph, f"{base}_scale", scales.astype(np.float32)),
        add_constant(graph, f"{base}_zero", np.zeros(scales.shape, np.int8)),
    ]
    new = ir.node("DequantizeLinear", inputs, attributes={"axis": 0})
    graph.insert_before(gemm, new)
    gemm.replace_input_with(1, new.outputs[0])
