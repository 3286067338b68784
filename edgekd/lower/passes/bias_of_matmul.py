"""An int8 linear layer over tokens that has no bias gets one, for OpenVINO; see ``distinct_bias``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, insert_behind
from edgekd.lower.passes.distinct_bias import TINY, added, outputs


@dataclass(frozen=True)
class BiasOfMatmul:
    """``MatMul(x, DQ(w))`` -> ``MatMul(x, DQ(w)) + (1e-30, 0, ...)``.

    Only for files that OpenVINO opens: ONNX Runtime fuses a MatMul and the QuantizeLinear behind it only where nothing
    stands between. A Gemm has its bias from ``int8_linear``.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "MatMul" and (width := outputs(node)) > 1 and added(node) is None:
                bias = np.zeros(width, np.float32)
                bias[0] = TINY
                new = ir.node("Add", [node.outputs[0], add_constant(model.graph, f"{node.name}_bias", bias)])
                insert_behind(model.graph, node, new)
