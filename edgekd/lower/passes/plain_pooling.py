"""Say pooling and flattening in the operators that every runtime fuses."""

from __future__ import annotations

import math
from dataclasses import dataclass

from onnxscript import ir

from edgekd.lower.passes._base import constant, drop_unused, replace
from edgekd.lower.passes._rounded import grid, inner_sizes, only_reader


@dataclass(frozen=True)
class PlainPooling:
    """A mean over the last two of four axes -> GlobalAveragePool; Reshape to (batch, all) -> Flatten.

    The mean is a ReduceMean, or an AveragePool whose window covers the map: OpenVINO reads none that is larger than it.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "ReduceMean":
                _pool(model.graph, node)
            elif node.op_type == "AveragePool" and _takes_all(node):
                _replace(model.graph, node, [ir.node("GlobalAveragePool", node.inputs[:1])])
            elif node.op_type == "Reshape":
                _flatten(model.graph, node)
        drop_unused(model.graph)


def _pool(graph: ir.Graph, node: ir.Node) -> None:
    x, axes = node.inputs[0], constant(node.inputs[1]) if len(node.inputs) > 1 else None
    keep = node.attributes.get("keepdims")
    if (
        x is None
        or x.shape is None
        or len(x.shape) != 4
        or axes is None
        or sorted(a % 4 for a in axes.tolist()) != [2, 3]
    ):
        return
    new = [ir.node("GlobalAveragePool", [x])]
    if keep is not None and keep.as_int() == 0:
        new += _rounded_alike(node, new[0].outputs[0])
        new.append(ir.node("Flatten", [new[-1].outputs[0]]))
    _replace(graph, node, new)


def _takes_all(pool: ir.Node) -> bool:
    """Whether one window covers the whole map, as of networks whose pooling is as wide as they have channels."""
    sizes = None if pool.inputs[0] is None else inner_sizes(pool.inputs[0])
    left = inner_sizes(pool.outputs[0])
    kernel, pads = pool.attributes["kernel_shape"].as_ints(), pool.attributes.get("pads")
    if sizes is None or left is None or set(left[1:]) != {1} or (pads is not None and any(pads.as_ints())):
        return False
    return len(sizes) == 3 and all(width >= size for width, size in zip(kernel, sizes[1:], strict=True))


def _rounded_alike(mean: ir.Node, pooled: ir.Value) -> list[ir.Node]:
    """The rounding that alone reads a mean, before the Flatten as well: a kernel pools in int8 only right before it."""
    quantize = only_reader(mean.outputs[0])
    if quantize is None or grid(quantize, "QuantizeLinear") is None:
        return []
    rounded = ir.node("QuantizeLinear", [pooled, *quantize.inputs[1:]])
    return [rounded, ir.node("DequantizeLinear", [rounded.outputs[0], *quantize.inputs[1:]])]


def _flatten(graph: ir.Graph, node: ir.Node) -> None:
    """(batch, a, b, ...) -> (batch, a b ...), where the target shape says so."""
    x, out = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or out.shape is None or len(out.shape) != 2 or len(x.shape) < 2:
        return
    sizes = inner_sizes(x)
    if sizes is None or out.shape[1] != math.prod(sizes) or str(out.shape[0]) != str(x.shape[0]):
        return
    _replace(graph, node, [ir.node("Flatten", [x])])


def _replace(graph: ir.Graph, node: ir.Node, new: list[ir.Node]) -> None:
    graph.insert_before(node, new)
    replace(node.outputs[0], new[-1].outputs[0])
    graph.remove(node, safe=True)
