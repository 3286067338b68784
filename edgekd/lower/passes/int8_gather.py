"""Look up int8 rows and dequantize what was found, not the whole table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxscript import ir

from edgekd.lower.passes._base import constant, drop_unused


@dataclass(frozen=True)
class Int8Gather:
    """``Gather(DQ(table), i)`` -> ``DQ(Gather(table, i))`` for a table with one scale.

    As it is exported the whole table would be dequantized in every run, or once and kept in float.
    """

    order: ClassVar[int] = 18  # before the biases of linear layers, that ask for the scale of their inputs
    always: ClassVar[bool] = True

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type != "Gather" or node.inputs[0] is None:
                continue
            dq = node.inputs[0].producer()
            if dq is None or dq.op_type != "DequantizeLinear" or not _one_scale(dq):
                continue
            table, indices = dq.inputs[0], node.inputs[1]
            found = ir.node("Gather", [table, indices], attributes=dict(node.attributes))
            back = ir.node("DequantizeLinear", [found.outputs[0], *dq.inputs[1:]])
            model.graph.insert_before(node, [found, back])
            node.outputs[0].replace_all_uses_with(back.outputs[0])
        drop_unused(model.graph)


def _one_scale(dq: ir.Node) -> bool:
    table, scale = constant(dq.inputs[0]), constant(dq.inputs[1])
    return table is not None and scale is not None and scale.size == 1
