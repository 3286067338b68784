"""Bias correction: rounding moves the mean of a layer's output, and its bias takes that back.

Nagel et al. 2019, arXiv:1906.04721, section 4.2, with the means found on calibration samples, layer after layer: each
is corrected for what is left of the shift of those before it, too. Padding of texts plays no part in a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

from edgekd.base.errors import ExportError
from edgekd.compress._fold import attribute
from edgekd.compress._graph import LAYERS, arguments, op, weight_of
from edgekd.compress._prepared import QatModule
from edgekd.learn import embeddings

SAMPLES = 128  # whose tensors are held in memory at once


def correct_biases(module: QatModule, batches: Sequence[tuple[Tensor, ...]], masked_by: int | None = None) -> list[str]:
    """Walk through the float and the rounded network side by side; take each layer's shift out of its bias, in place.

    Layers without a bias or a BatchNorm behind them, or whose bias is computed, stay as they are.

    Args:
        batches: of model inputs; the first samples are used.
        masked_by: which of them is (N, L), 1 for tokens and 0 for padding; None: none is.

    Returns:
        The corrected parameters.
    """
    module.eval()
    graph, pairs, corrected = module.graph, dict[Node, tuple[Any, Any]](), []
    biased = _biased(module)
    last = {source: node for node in graph.graph.nodes for source in node.all_input_nodes}
    given = _some(batches)
    mask, inputs = None if masked_by is None else given[masked_by], iter(given)
    with torch.no_grad():
        for node in graph.graph.nodes:
            if node.op == "output":
                break
            if node.op == "placeholder":
                pairs[node] = (value := next(inputs), value)
            elif node.op == "get_attr":
                pairs[node] = (value := attribute(graph, node), value)
            else:
                pairs[node] = _computed(module, node, pairs)
            if node in biased:
                bias = biased[node]
                pairs[node] = pairs[node][0], _corrected(node, bias, *pairs[node], mask)
                corrected.append(str(bias.target))
            for source in node.all_input_nodes:
                if last[source] is node:
                    del pairs[source]
    return corrected


def _computed(module: QatModule, node: Node, pairs: dict[Node, tuple[object, object]]) -> tuple[Any, Any]:
    """(float, rounded) values of a node, computed once where nothing was rounded yet."""
    if node.op == "call_module":
        exact, rounded = pairs[node.all_input_nodes[0]]
        return exact, module.graph.get_submodule(str(node.target))(rounded)
    value = _called(node, pairs, 0)
    if all(pairs[source][0] is pairs[source][1] for source in node.all_input_nodes):
        return value, value
    return value, _called(node, pairs, 1)


def _called(node: Node, pairs: dict[Node, tuple[object, object]], side: int) -> Any:
    if not callable(node.target):
        raise ExportError("no operator that can be run", where=f"int8_qat: {node.name}", found=node.op)

    def of(source: Node) -> Any:
        return pairs[source][side]

    return node.target(*map_arg(node.args, of), **map_arg(node.kwargs, of))


def _corrected(node: Node, bias_node: Node, exact: Tensor, rounded: Tensor, mask: Tensor | None) -> Tensor:
    """The rounded output without its shift, which its bias loses as well; ``mask``: (N, L)."""
    channel, apart = exact.ndim - 1 if op(node) == "linear" else 1, rounded - exact
    if op(node) == "linear":
        apart = embeddings.of_tokens(apart, mask)
        shift = apart.mean(dim=[*range(apart.ndim - 1)])
    else:
        shift = apart.mean(dim=[d for d in range(exact.ndim) if d != channel])
    bias = attribute(bias_node.graph.owning_module, bias_node)
    bias.sub_(shift)
    return rounded - shift.reshape([-1 if d == channel else 1 for d in range(exact.ndim)])


def _biased(module: QatModule) -> dict[Node, Node]:
    """Where each quantized layer's output is complete, and which parameter is its bias."""
    biases: dict[Node, Node] = {}
    for node in module.graph.graph.nodes:
        if op(node) not in LAYERS or op(node) == "embedding" or str(weight_of(node).target) not in module.weights:
            continue
        at = node
        while len(at.users) == 1 and op(user := next(iter(at.users))) in ("div", "add", "batch_norm"):
            at = user
            if op(at) == "batch_norm":
                break
        at = at if op(at) == "batch_norm" else node
        bias = arguments(at)[2] if len(at.args) > 2 else None
        if isinstance(bias, Node) and op(bias) == "sub":
            bias = arguments(bias)[0]  # of a frozen BatchNorm: beta, and what is taken from it
        if isinstance(bias, Node) and bias.op == "get_attr":
            biases[at] = bias
    return biases


def _some(batches: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """The first samples, of batches as long as the first."""
    some: list[tuple[Tensor, ...]] = []
    count = 0
    for batch in batches:
        if some and [x.shape[1:] for x in batch] != [x.shape[1:] for x in some[0]]:
            continue
        some.append(batch)
        count += len(batch[0])
        if count >= SAMPLES:
            break
    return [torch.cat(parts)[:SAMPLES] for parts in zip(*some, strict=True)]
