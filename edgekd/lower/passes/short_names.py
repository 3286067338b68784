"""Names that a person reads in a profile: the operator and its number, the same in every build."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from onnxscript import ir

# Half of an int8 graph's nodes, each named five times: for a net of 50,000 weights 7,100 of 68,900 bytes.
ABBREVIATED = {"QuantizeLinear": "Q", "DequantizeLinear": "DQ"}


@dataclass(frozen=True)
class ShortNames:
    """``Conv_0``, its output ``Conv_0``, others ``Conv_0:1``, its constants ``Conv_0.1``; ``Q_0`` and ``DQ_0`` round.

    Inputs and outputs of the graph keep their names.
    """

    def __call__(self, model: ir.Model) -> None:
        graph = model.graph
        model.graph.name = "student"
        kept = {*graph.inputs, *graph.outputs}
        taken = {value.name for value in kept}
        count: Counter[str] = Counter()
        renamed: dict[ir.Value, str] = {}
        for node in graph:
            node.name = f"{ABBREVIATED.get(node.op_type, node.op_type)}_{count[node.op_type]}"
            count[node.op_type] += 1
            for i, out in enumerate(node.outputs):
                if out not in kept:
                    out.name = f"{node.name}:{i}" if i or node.name in taken else node.name
            for i, value in enumerate(node.inputs):
                if (
                    value is not None
                    and value.name in graph.initializers
                    and value not in renamed
                    and value not in kept
                ):
                    renamed[value] = f"{node.name}.{i}"
        # In two steps, so that no new name meets an old one.
        values = list(renamed)
        for value in values:
            del graph.initializers[value.name or ""]
        for value in values:
            value.name = renamed[value]
            if value.const_value is not None:
                value.const_value.name = renamed[value]
            graph.register_initializer(value)
