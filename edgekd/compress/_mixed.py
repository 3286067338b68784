"""Parts of a converted network that its file computes in float: the roundings that were measured to cost more."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor
from torch.fx import GraphModule, Node

from edgekd.base.errors import ExportError
from edgekd.compress._fold import attribute
from edgekd.compress._graph import LAYERS, op, source_of
from edgekd.compress._unrounded import DEQUANTIZE, QUANTIZE
from edgekd.spec.mixed import MixedNumerics

FROZEN = re.compile(r"_frozen_param(\d+)$")


def roundings_of(graph: GraphModule) -> list[Node]:
    """What rounds activations in a converted network, in order: a rounding's number is its place here."""
    return [node for node in graph.graph.nodes if node.target is QUANTIZE]


def float_weights(graph: GraphModule) -> dict[str, Tensor]:
    """Of a prepared network, BatchNorm folded: by layer the weight before it is rounded."""
    weights = {}
    for layer in [node for node in graph.graph.nodes if op(node) in LAYERS]:
        fake = layer.args[0 if op(layer) == "embedding" else 1]
        read = source_of(fake) if isinstance(fake, Node) and fake.op == "call_module" else None
        value = attribute(graph, read) if read is not None and read.op == "get_attr" else None
        if isinstance(value, Tensor):
            weights[layer.name] = value.detach().clone()
    return weights


def leave_float(graph: GraphModule, numerics: MixedNumerics, plain: Mapping[str, Tensor]) -> None:
    """Leave out the roundings that the numerics name, in place.

    Args:
        graph: after conversion.
        plain: see ``float_weights``; a weight that is not among them keeps the values that it was rounded to.

    Raises:
        ExportError: the network has no such rounding: it is not the one that was measured.
    """
    roundings, weights = roundings_of(graph), _restored_weights(graph)
    for number in numerics.float_activations:
        quantize = _of(dict(enumerate(roundings)), number, "rounding")
        source = source_of(quantize)
        for user in list(quantize.users):
            if user.target is DEQUANTIZE and source is not None:
                user.replace_all_uses_with(source)
    for number in numerics.float_weights:
        _restore(graph, _of(weights, number, "weight"), plain)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()


def _of(nodes: Mapping[int, Node], number: int, kind: str) -> Node:
    if number not in nodes:
        raise ExportError(
            f"no such {kind} in the network", where="mixed precision", found=number, allowed=f"{len(nodes)}"
        )
    return nodes[number]


def _restored_weights(graph: GraphModule) -> dict[int, Node]:
    """What restores each rounded weight, by its number."""
    restored = {}
    for node in graph.graph.nodes:
        match = FROZEN.search(str(node.target)) if node.op == "get_attr" else None
        if match is not None:
            restored |= {int(match[1]): user for user in node.users if user.args[0] is node}
    return restored


def _restore(graph: GraphModule, dequantize: Node, plain: Mapping[str, Tensor]) -> None:
    """Put the weight before it was rounded in the place of what restores it."""
    layers = [user.name for user in dequantize.users if user.name in plain]
    value = plain[layers[0]] if layers else _value(graph, dequantize)
    name = f"{str(source_of(dequantize)).replace('.', '_')}_plain"
    graph.register_buffer(name, value)
    with graph.graph.inserting_before(dequantize):
        node = graph.graph.get_attr(name)
    node.meta = dict(dequantize.meta)
    dequantize.replace_all_uses_with(node)


def _value(graph: GraphModule, dequantize: Node) -> Tensor:
    """What a node gives that only reads constants."""
    args = [attribute(graph, arg) if isinstance(arg, Node) else arg for arg in dequantize.args]
    value = dequantize.target(*args) if callable(dequantize.target) else None
    if not isinstance(value, Tensor):
        raise ExportError("a weight that can't be restored", where="mixed precision", found=dequantize.name)
    return value
