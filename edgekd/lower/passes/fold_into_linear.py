"""A factor and a summand for each output of a linear layer in float go into its weight and its bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, replace
from edgekd.lower.passes._rounded import only_reader

Numbers = NDArray[np.generic]


@dataclass(frozen=True)
class FoldIntoLinear:
    """``Gemm(x, w, b) * g + h`` -> ``Gemm(x, w g, b g + h)``: values in the unit of their labels, a BatchNorm.

    Computed in float64 and rounded once. In the file of a net of two layers that learns values it was 2 of 5 operators.
    A layer in int8 is ``fold_into_int8_linear``'s.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Gemm":
                while _fold_next(model.graph, node):
                    pass
        drop_unused(model.graph)


def _fold_next(graph: ir.Graph, gemm: ir.Node) -> bool:
    """Take the Mul or Add that alone reads a layer into it; whether there was one."""
    out, weight = gemm.outputs[0], constant(gemm.inputs[1])
    user = only_reader(out)
    if user is None or user.op_type not in ("Mul", "Add") or not _is_plain(gemm):
        return False
    values = constant(next((value for value in user.inputs if value is not out), None))
    if weight is None or values is None or weight.dtype.kind != "f" or values.dtype != weight.dtype:
        return False
    axis = 0 if attribute_int(gemm, "transB", 0) else 1  # of the weight, where its outputs are
    size = weight.shape[axis]
    bias = _bias(gemm, size)
    if bias is None or values.ndim > 2 or (values.size != 1 and (values.size != size or values.shape[-1] != size)):
        return False
    each = np.broadcast_to(values.astype(np.float64).reshape(-1), (size,))
    if user.op_type == "Mul":
        scaled = weight.astype(np.float64) * (each[:, None] if axis == 0 else each)
        _set(graph, gemm, 1, scaled.astype(weight.dtype))
    total = bias * each if user.op_type == "Mul" else bias + each
    _set(graph, gemm, 2, total.astype(weight.dtype))
    replace(user.outputs[0], out)
    graph.remove(user, safe=True)
    return True


def _is_plain(gemm: ir.Node) -> bool:
    """Whether a Gemm is a linear layer, and nothing is multiplied beside it."""
    factors = [gemm.attributes.get(name) for name in ("alpha", "beta")]
    return all(factor is None or factor.as_float() == 1 for factor in factors)


def _bias(gemm: ir.Node, size: int) -> NDArray[np.float64] | None:
    """(size,) zeros where there is none; None where it is no constant, or one for each sample."""
    if len(gemm.inputs) < 3 or gemm.inputs[2] is None:
        return np.zeros(size)
    bias = constant(gemm.inputs[2])
    if bias is None or bias.size not in (1, size):
        return None
    return np.broadcast_to(bias.astype(np.float64).reshape(-1), (size,))


def _set(graph: ir.Graph, gemm: ir.Node, place: int, values: Numbers) -> None:
    gemm.resize_inputs(max(3, len(gemm.inputs)))
    name = f"{gemm.outputs[0].name}_folded_{place}_{len(graph.initializers)}"
    gemm.replace_input_with(place, add_constant(graph, name, values))
