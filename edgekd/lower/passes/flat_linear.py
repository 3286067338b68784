"""Linear layers over maps run over rows, for OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, constant, insert_behind, producer, weight_dq
from edgekd.lower.passes._rounded import inner_sizes, only_reader, restored

ELEMENTWISE = frozenset({"Relu", "Gelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "LeakyRelu", "Clip"})
ROUNDING = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class FlatLinear:
    """``MatMul(x: (n, h, w, c), DQ(w))`` with what follows on each row alone -> the same over (n, h w, c).

    OpenVINO takes the second axis of four for that of the channels, and leaves bias and activation out of the kernel:
    16 us for a GELU over 16 x 16 x 128 behind a layer that itself takes 6 (a ConvNeXt, where it is 1.13 times as slow).
    """

    def __call__(self, model: ir.Model) -> None:
        flat: set[ir.Node] = set()
        for node in list(model.graph):
            if node.op_type == "MatMul" and node not in flat and weight_dq(node.inputs[1], axis=1) is not None:
                flat |= _flatten(model.graph, node)


def _flatten(graph: ir.Graph, node: ir.Node) -> set[ir.Node]:
    """Flatten the layer and its chain; the nodes of the chain."""
    x, dequantize = node.inputs[0], producer(node.inputs[0])
    quantize = producer(dequantize.inputs[0]) if dequantize is not None and restored(x) is not None else None
    if x is None or x.shape is None or len(x.shape) != 4 or dequantize is None or quantize is None:
        return set()
    if only_reader(x) is not node or only_reader(quantize.outputs[0]) is not dequantize:
        return set()
    chain = [quantize, dequantize, node]
    while (reader := only_reader(chain[-1].outputs[0])) is not None and _on_each_row(reader, chain[-1].outputs[0]):
        chain.append(reader)
    out = chain[-1].outputs[0]
    narrow, wide = inner_sizes(x), inner_sizes(out)
    if narrow is None or wide is None or out.is_graph_output() or len(wide) != 3:
        return set()
    before = _reshaped(graph, quantize.inputs[0], [0, -1, narrow[2]], f"{node.name}_rows")
    graph.insert_before(quantize, before)
    quantize.replace_input_with(0, before.outputs[0])
    insert_behind(graph, chain[-1], _reshaped(graph, out, [0, *wide], f"{node.name}_map"))
    for link in chain:
        link.outputs[0].shape = None
    return set(chain)


def _on_each_row(node: ir.Node, x: ir.Value) -> bool:
    """Whether a node does the same to each row of its first axes."""
    if node.op_type in ELEMENTWISE | ROUNDING:
        return True
    other = next((value for value in node.inputs if value is not x), None)
    if node.op_type == "MatMul":
        return node.inputs[0] is x and weight_dq(node.inputs[1], axis=1) is not None
    values = constant(other)
    return node.op_type in ("Add", "Mul") and values is not None and values.ndim <= 1


def _reshaped(graph: ir.Graph, value: ir.Value | None, sizes: list[int], name: str) -> ir.Node:
    return ir.node("Reshape", [value, add_constant(graph, name, np.array(sizes, np.int64))])
