"""Parts of a converted network that its file computes in float: where a target was measured to be faster so."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.fx import GraphModule, Node

from edgekd.base.errors import ExportError
from edgekd.compress._fold import attribute
from edgekd.compress._graph import source_of
from edgekd.compress._unrounded import DEQUANTIZE, QUANTIZE
from edgekd.spec.mixed import MixedNumerics, weight_number


def roundings_of(graph: GraphModule) -> list[Node]:
    """What rounds activations in a converted network, in order: a rounding's number is its place here."""
    return [node for node in graph.graph.nodes if node.target is QUANTIZE]


def leave_float(graph: GraphModule, numerics: MixedNumerics) -> None:
    """Leave out the roundings that the numerics name, in place, after conversion.

    Weights keep the values that they were rounded to: the network was trained, or its biases corrected, for these.

    Raises:
        ExportError: the network has no such rounding: it is not the one that was measured.
    """
    roundings, weights = dict(enumerate(roundings_of(graph))), _restored_weights(graph)
    for number in numerics.float_activations:
        quantize = _of(roundings, number, "rounding")
        source = source_of(quantize)
        for user in list(quantize.users):
            if user.target is DEQUANTIZE and source is not None:
                user.replace_all_uses_with(source)
    for number in numerics.float_weights:
        _restore(graph, _of(weights, number, "weight"), number)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _of(nodes: Mapping[int, Node], number: int, kind: str) -> Node:
    if number not in nodes:
        allowed = f"0 to {len(nodes) - 1}"
        raise ExportError(f"no such {kind} in the network", where="mixed precision", found=number, allowed=allowed)
    return nodes[number]


def _restored_weights(graph: GraphModule) -> dict[int, Node]:
    """What restores each rounded weight, by its number."""
    restored: dict[int, Node] = {}
    for node in graph.graph.nodes:
        number = weight_number(str(node.target)) if node.op == "get_attr" else None
        if number is not None:
            restored.update((number, user) for user in node.users if user.args[0] is node)
    return restored


def _restore(graph: GraphModule, dequantize: Node, number: int) -> None:
    """Put a weight's values in the place of what restores them."""
    args = [attribute(graph, arg) if isinstance(arg, Node) else arg for arg in dequantize.args]
    value = dequantize.target(*args, **dequantize.kwargs) if callable(dequantize.target) else None
    if not isinstance(value, Tensor):
        raise ExportError("a weight that can't be restored", where="mixed precision", found=dequantize.name)
    graph.register_buffer(f"plain_weight_{number}", value)
    with graph.graph.inserting_before(dequantize):
        node = graph.graph.get_attr(f"plain_weight_{number}")
    node.meta = dict(dequantize.meta)
    dequantize.replace_all_uses_with(node)
