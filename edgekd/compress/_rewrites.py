"""Exported graphs in the operators that integer kernels compute, before anything is quantized. Exact, all of it."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edgekd.compress._graph import op

aten = torch.ops.aten


def rewrite(graph: GraphModule) -> None:
    """Spell, in place, what no integer kernel computes as a whole."""
    for node in list(graph.graph.nodes):
        if op(node) == "silu":
            _swish(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _swish(graph: GraphModule, node: Node) -> None:
    """``silu(x)`` -> ``x * sigmoid(x)``: ONNX has no operator of it, and both of these have int8 kernels."""
    x = node.args[0]
    with graph.graph.inserting_before(node):
        gate = graph.graph.call_function(aten.sigmoid.default, (x,))
        product = graph.graph.call_function(aten.mul.Tensor, (x, gate))
    gate.meta, product.meta = dict(node.meta), dict(node.meta)
    node.replace_all_uses_with(product)
    graph.graph.erase_node(node)
