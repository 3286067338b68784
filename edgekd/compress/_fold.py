"""BatchNorm folded into the convolution before it, in a prepared graph.

torchao's fused pair computes (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2), with s = gamma / std,

    BatchNorm( conv(x, fake_quantize(w s)) / s + b )  =  conv(x, fake_quantize(w s)) + (b - mean) s + beta

The right-hand side trains alike once the statistics stand still, in fewer passes over the tensors, and is what is
exported. torchao's own conversion finds the same by matching dozens of patterns, which takes ten seconds and goes wrong
where a weight has two readers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

aten = torch.ops.aten
CONVS = (aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)


def freeze_batchnorm(graph: GraphModule) -> None:
    """Compute every fused pair by the right-hand side, in place: its parameters go on training, its statistics don't.

    A BatchNorm that follows no fused convolution stays.
    """
    for node in list(graph.graph.nodes):
        if node.target is aten.batch_norm.default:
            _freeze(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def fold_batchnorm(graph: GraphModule) -> None:
    """Put numbers in place of what only depends on parameters; a BatchNorm that stands alone is a product and a sum.

    One that is left would send torchao's conversion through its patterns after all.
    """
    freeze_batchnorm(graph)
    for node in list(graph.graph.nodes):
        if node.target is aten.batch_norm.default:
            _affine(graph, node)
        elif node.target in CONVS:
            _constants(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _freeze(graph: GraphModule, norm: Node) -> None:
    at: Any = norm.args[0]
    total = at if isinstance(at, Node) and at.target is aten.add.Tensor else None
    quotient = at if total is None else total.args[0]
    conv = quotient.args[0] if isinstance(quotient, Node) and quotient.target is aten.div.Tensor else None
    if not isinstance(conv, Node) or conv.target not in CONVS or _product(conv) is None:
        return
    bias = None if total is None else _own_bias(total)
    gamma, beta, mean, var = norm.args[1:5]
    eps: Any = norm.args[7]
    call = graph.graph.call_function
    with graph.graph.inserting_before(conv):
        scale = call(aten.div.Tensor, (gamma, call(aten.sqrt.default, (call(aten.add.Tensor, (var, eps)),))))
        shift = mean if bias is None else call(aten.sub.Tensor, (mean, bias))
        offset = call(aten.sub.Tensor, (beta, call(aten.mul.Tensor, (shift, scale))))
    conv.args = (*conv.args[:2], offset, *conv.args[3:])
    norm.replace_all_uses_with(conv)
    graph.graph.erase_node(norm)


def _own_bias(add: Node) -> Node | None:
    """The convolution's own bias, which the fused pair adds, reshaped, after the division."""
    reshaped = add.args[1]
    bias = reshaped.args[0] if isinstance(reshaped, Node) else None
    return bias if isinstance(bias, Node) else None


def _product(conv: Node) -> Node | None:
    """The scaled weight that a fused convolution's fake quantization reads."""
    quantize = conv.args[1]
    if not (isinstance(quantize, Node) and quantize.op == "call_module"):
        return None
    product = quantize.args[0]
    return product if isinstance(product, Node) and product.target is aten.mul.Tensor else None


def _constants(graph: GraphModule, conv: Node) -> None:
    product, bias = _product(conv), conv.args[2] if len(conv.args) > 2 else None
    weight = value_of(graph, product)
    if product is None or weight is None:
        return
    product.replace_all_uses_with(_parameter(graph, f"{conv.name}_weight", weight, product))
    if isinstance(bias, Node) and bias.op != "get_attr" and (value := value_of(graph, bias)) is not None:
        conv.update_arg(2, _parameter(graph, f"{conv.name}_bias", value, conv))


def _affine(graph: GraphModule, norm: Node) -> None:
    values = affine_of(graph, norm)
    if values is None or "val" not in norm.meta:
        return
    shape = (-1, *[1] * (norm.meta["val"].ndim - 2))
    factor = _parameter(graph, f"{norm.name}_factor", values[0].reshape(shape), norm)
    offset = _parameter(graph, f"{norm.name}_offset", values[1].reshape(shape), norm)
    with graph.graph.inserting_before(norm):
        product = graph.graph.call_function(aten.mul.Tensor, (norm.args[0], factor))
        total = graph.graph.call_function(aten.add.Tensor, (product, offset))
    product.meta, total.meta = dict(norm.meta), dict(norm.meta)
    norm.replace_all_uses_with(total)
    graph.graph.erase_node(norm)


def affine_of(graph: GraphModule, norm: Node) -> tuple[Tensor, Tensor] | None:
    """What a BatchNorm whose statistics stand still multiplies each channel by, and adds: (C,) each."""
    gamma, beta, mean, var = (value_of(graph, parameter) for parameter in norm.args[1:5])
    eps: Any = norm.args[7]
    if gamma is None or beta is None or mean is None or var is None:
        return None
    factor = gamma / torch.sqrt(var + eps)
    return factor, beta - mean * factor


def attribute(graph: object, node: Node) -> Any:
    """What a ``get_attr`` node reads."""
    value = graph
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value


def value_of(graph: GraphModule, node: object) -> Tensor | None:
    """What a node gives where it depends on parameters alone."""
    if isinstance(node, Node) and node.op == "get_attr":
        value = attribute(graph, node)
        return value.detach() if isinstance(value, Tensor) else None
    if not isinstance(node, Node) or node.op != "call_function" or not callable(node.target):
        return None
    values = {source: value_of(graph, source) for source in node.all_input_nodes}
    if any(value is None for value in values.values()):
        return None
    with torch.no_grad():
        folded = node.target(*map_arg(node.args, values.__getitem__), **map_arg(node.kwargs, values.__getitem__))
    return folded if isinstance(folded, Tensor) else None


def _parameter(graph: GraphModule, name: str, value: Tensor, before: Node) -> Node:
    name = f"folded_{name}"
    graph.register_parameter(name, nn.Parameter(value.clone(), requires_grad=False))
    with graph.graph.inserting_before(before):
        return graph.graph.get_attr(name)
