"""Exported graphs in the operators that integer kernels compute, before anything is quantized. Exact, all of it."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.fx import GraphModule, Node

from edgekd.compress._fold import value_of
from edgekd.compress._graph import arguments, call_like, op

aten = torch.ops.aten


def rewrite(graph: GraphModule) -> None:
    """Spell, in place, what no integer kernel computes as a whole."""
    for node in list(graph.graph.nodes):
        if op(node) == "silu":
            _swish(graph, node)
        elif op(node) == "scaled_dot_product_attention":
            _attention(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def fold_into_linear(graph: GraphModule) -> None:
    """Put a BatchNorm into the linear layer that it alone reads, in place; its statistics have to stand still.

    Behind the rounding it would give each output a scale of its own, which a wide layer over one row pays for.
    """
    for number, node in enumerate([node for node in graph.graph.nodes if op(node) == "linear"]):
        norm = next(iter(node.users)) if len(node.users) == 1 else node
        weight, bias = (value_of(graph, arg) for arg in [*arguments(node), None][1:3])
        if op(norm) != "batch_norm" or weight is None or node.meta["val"].ndim != 2:
            continue
        gamma, beta, mean, var = (value_of(graph, arg) for arg in arguments(norm)[1:5])
        if gamma is None or beta is None or mean is None or var is None:
            continue
        factor = gamma / torch.sqrt(var + float(arguments(norm)[7]))
        shift = -mean if bias is None else bias - mean
        for place, (name, value) in enumerate(
            (("weight", weight * factor[:, None]), ("bias", shift * factor + beta)), 1
        ):
            graph.register_parameter(f"linear_{number}_{name}", nn.Parameter(value.clone()))
            with graph.graph.inserting_before(node):
                parameter = graph.graph.get_attr(f"linear_{number}_{name}")
            parameter.meta = {"val": value}
            node.args = (*node.args[:place], parameter, *node.args[place + 1 :])
        norm.replace_all_uses_with(node)
        graph.graph.erase_node(norm)
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


def _attention(graph: GraphModule, node: Node) -> None:
    """``softmax(q k^T scale + mask) v``, where no mask is made on the way and heads are not shared."""
    query, key, value, *rest = arguments(node)
    mask = rest[0] if rest else None
    if any(rest[1:]) or node.kwargs.get("enable_gqa"):
        return
    given = node.kwargs.get("scale")
    scale = given if isinstance(given, float) else 1 / math.sqrt(int(query.meta["val"].shape[-1]))
    with graph.graph.inserting_before(node):
        turned = call_like(graph, node, aten.transpose.int, (key, -2, -1))
        scores = call_like(graph, node, aten.matmul.default, (query, turned))
        scores = call_like(graph, node, aten.mul.Tensor, (scores, scale))
        if mask is not None and mask.meta["val"].dtype is torch.bool:
            scores = call_like(graph, node, aten.where.ScalarOther, (mask, scores, -math.inf))
        elif mask is not None:
            scores = call_like(graph, node, aten.add.Tensor, (scores, mask))
        shares = call_like(graph, node, aten.softmax.int, (scores, -1))
        result = call_like(graph, node, aten.matmul.default, (shares, value))
    result.meta = {**node.meta, "val": result.meta["val"]}
    node.replace_all_uses_with(result)
    graph.graph.erase_node(node)
