"""QuantizeLinear and DequantizeLinear said once, and as briefly as the specification allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import constant, drop_unused

QDQ = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class LeanQdq:
    """Drop the all-zero zero points of convolution weights, and the axis of per-tensor scales.

    A Gemm keeps its weight's zero point: ONNX Runtime's integer Gemm is only taken with one.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in model.graph:
            if node.op_type not in QDQ:
                continue
            scale = constant(node.inputs[1])
            if scale is not None and scale.ndim == 0:
                node.attributes.pop("axis", None)
            if node.op_type == "DequantizeLinear" and len(node.inputs) == 3 and _droppable(node):
                node.resize_inputs(2)
        drop_unused(model.graph)


def _droppable(node: ir.Node) -> bool:
    weight, zero = constant(node.inputs[0]), constant(node.inputs[2])
    if weight is None or zero is None or weight.dtype != np.int8 or np.any(zero):
        return False
    return all(user.node.op_type not in ("Gemm", "MatMul") for user in node.outputs[0].uses())
