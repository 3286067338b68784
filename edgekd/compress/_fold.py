"""BatchNorm folded into the convolution before it, in a prepared graph.

While it trains, a fused pair computes (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2), with s = gamma / std,

    BatchNorm( conv(x, fake_quantize(w s)) / s + b )  =  conv(x, fake_quantize(w s)) + (b - mean) s + beta

and the right-hand side is what is exported. torchao's own conversion finds the same by matching dozens of patterns,
which takes ten seconds and goes wrong where a weight has two readers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node


def fold_batchnorm(graph: GraphModule) -> None:
    """Fold every BatchNorm that follows a fused convolution; others become a product and a sum, in place.

    One that is left would send torchao's conversion through its patterns after all.
    """
    for node in list(graph.graph.nodes):
        if node.target is torch.ops.aten.batch_norm.default and not _fold(graph, node):
            _affine(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _fold(graph: GraphModule, norm: Node) -> bool:
    """Whether a fused convolution stood before it."""
    at = norm.args[0]
    if isinstance(at, Node) and at.target is torch.ops.aten.add.Tensor:
        at = at.args[0]
    if not (isinstance(at, Node) and at.target is torch.ops.aten.div.Tensor):
        return False
    conv = at.args[0]
    if not isinstance(conv, Node) or len(conv.args) < 2:
        return False
    quantize = conv.args[1]
    if not (isinstance(quantize, Node) and quantize.op == "call_module"):
        return False
    product = quantize.args[0]
    if not (isinstance(product, Node) and product.target is torch.ops.aten.mul.Tensor):
        return False
    weight, gamma, beta, mean, var = (_value(graph, n) for n in (product.args[0], *norm.args[1:5]))
    eps: Any = norm.args[7]
    assert weight is not None and gamma is not None and beta is not None and mean is not None and var is not None
    scale = gamma / torch.sqrt(var + eps)
    bias = _conv_bias(graph, norm)
    folded = beta + ((bias if bias is not None else 0.0) - mean) * scale
    name = conv.name
    new_weight = _parameter(graph, f"{name}_weight", weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), product)
    new_bias = _parameter(graph, f"{name}_bias", folded, conv)
    quantize.update_arg(0, new_weight)
    conv.args = (conv.args[0], quantize, new_bias, *conv.args[3:])
    norm.replace_all_uses_with(conv)
    graph.graph.erase_node(norm)
    return True


def _affine(graph: GraphModule, norm: Node) -> None:
    gamma, beta, mean, var = (_value(graph, n) for n in norm.args[1:5])
    eps: Any = norm.args[7]
    if gamma is None or beta is None or mean is None or var is None or "val" not in norm.meta:
        return
    shape = (-1, *[1] * (norm.meta["val"].ndim - 2))
    scale = gamma / torch.sqrt(var + eps)
    factor = _parameter(graph, f"{norm.name}_factor", scale.reshape(shape), norm)
    offset = _parameter(graph, f"{norm.name}_offset", (beta - mean * scale).reshape(shape), norm)
    with graph.graph.inserting_before(norm):
        product = graph.graph.call_function(torch.ops.aten.mul.Tensor, (norm.args[0], factor))
        total = graph.graph.call_function(torch.ops.aten.add.Tensor, (product, offset))
    product.meta, total.meta = dict(norm.meta), dict(norm.meta)
    norm.replace_all_uses_with(total)
    graph.graph.erase_node(norm)


def _conv_bias(graph: GraphModule, norm: Node) -> Tensor | None:
    """The convolution's own bias, which the fused pair adds after the division."""
    add = norm.args[0]
    if not (isinstance(add, Node) and add.target is torch.ops.aten.add.Tensor):
        return None
    reshaped = add.args[1]
    return _value(graph, reshaped.args[0]) if isinstance(reshaped, Node) else None


def attribute(graph: Any, node: Node) -> Any:
    """What a ``get_attr`` node reads."""
    value = graph
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value


def _value(graph: GraphModule, node: object) -> Tensor | None:
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    value = attribute(graph, node)
    return value.detach() if isinstance(value, Tensor) else None


def _parameter(graph: GraphModule, name: str, value: Tensor, before: Node) -> Node:
    name = f"folded_{name}"
    graph.register_parameter(name, nn.Parameter(value.clone(), requires_grad=False))
    with graph.graph.inserting_before(before):
        return graph.graph.get_attr(name)
