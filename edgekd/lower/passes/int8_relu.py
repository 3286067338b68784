"""A ReLU whose result is rounded to a range that goes below zero cuts the rounded numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, drop_unused
from edgekd.lower.passes._rounded import grid


@dataclass(frozen=True)
class Int8Relu:
    """``Relu(x) -> QuantizeLinear`` -> ``QuantizeLinear(x) -> Max(zero)`` on 8 bits, where zero is not the first step.

    Such a range is shared with tensors that do go below zero, as in a Concat. ONNX Runtime leaves a convolution in
    float whose ReLU it can't leave to the rounding: 49 us where the int8 one takes 15 (3x3, 16 channels, 32x32).
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type != "Relu" or node.inputs[0] is None or node.outputs[0].is_graph_output():
                continue
            readers = [use.node for use in node.outputs[0].uses()]
            grids = [grid(reader, "QuantizeLinear") for reader in readers]
            if readers and all(steps is not None and int(steps.zero) > steps.least for steps in grids):
                for reader in readers:
                    _cut_behind(model.graph, node.inputs[0], reader)
        drop_unused(model.graph)


def _cut_behind(graph: ir.Graph, x: ir.Value, quantize: ir.Node) -> None:
    steps = grid(quantize, "QuantizeLinear")
    if steps is None:
        return
    quantize.replace_input_with(0, x)
    rounded = quantize.outputs[0]
    zero = add_constant(graph, f"{rounded.name}_zero", np.array(steps.zero))
    cut = ir.node("Clip", [rounded, zero])
    rounded.replace_all_uses_with(cut.outputs[0])
    cut.replace_input_with(0, rounded)
    graph.insert_after(quantize, cut)
