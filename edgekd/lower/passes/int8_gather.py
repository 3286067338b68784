"""Look up int8 rows and dequantize what was found, not the whole table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, constant, drop_unused, replace
from edgekd.lower.passes._rounded import only_reader


@dataclass(frozen=True)
class Int8Gather:
    """``Gather(DQ(table), i)`` -> ``DQ(Gather(table, i))`` for a table with one scale.

    As it is exported the whole table would be dequantized in every run, or once and kept in float. A mean of what was
    found becomes a sum of a smaller scale: OpenVINO 2026.4.1 takes the mean of 8-bit rows in 8 bits, and from the
    second sample of some batches on (2, 8 and 64 of 10 x 32) answers wrongly by 0.6 of the score range.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type != "Gather" or node.inputs[0] is None:
                continue
            dq = node.inputs[0].producer()
            if dq is None or dq.op_type != "DequantizeLinear" or not _one_scale(dq):
                continue
            table, indices = dq.inputs[0], node.inputs[1]
            gather = ir.node("Gather", [table, indices], attributes=dict(node.attributes))
            scale = _of_sum(model.graph, node, dq.inputs[1])
            back = ir.node("DequantizeLinear", [gather.outputs[0], scale, *dq.inputs[2:]])
            model.graph.insert_before(node, [gather, back])
            replace(node.outputs[0], back.outputs[0])
        drop_unused(model.graph)


def _one_scale(dq: ir.Node) -> bool:
    table, scale = constant(dq.inputs[0]), constant(dq.inputs[1])
    return table is not None and scale is not None and scale.size == 1


def _of_sum(graph: ir.Graph, node: ir.Node, scale: ir.Value | None) -> ir.Value | None:
    """The scale over the rows of a mean that alone reads what was found, and is a sum from now on; else the scale."""
    mean, shape = only_reader(node.outputs[0]), node.outputs[0].shape
    value = constant(scale)
    if mean is None or mean.op_type != "ReduceMean" or len(mean.inputs) < 2 or value is None or shape is None:
        return scale
    axes = constant(mean.inputs[1])
    sizes = [] if axes is None else [shape[int(axis)] for axis in axes.reshape(-1)]
    count = 1
    for size in sizes:
        if not isinstance(size, int):
            return scale
        count *= size
    if count < 2:
        return scale
    total = ir.node("ReduceSum", mean.inputs, attributes=dict(mean.attributes))
    graph.insert_before(mean, [total])
    replace(mean.outputs[0], total.outputs[0])
    graph.remove(mean, safe=True)
    return add_constant(graph, f"{node.name}_of_sum", (value.astype(np.float32) / count).astype(value.dtype))
