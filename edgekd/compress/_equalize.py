"""Cross-layer equalization: channels whose ranges differ widely share one scale badly. Exact in float.

Nagel et al. 2019, arXiv:1906.04721, section 4.1: f(s x) = s f(x) holds for s > 0 where f is a ReLU, so that a channel
can be divided by s in the layer that makes it and multiplied by s in the one that reads it. With a range a_c of what
the first gives in channel c, and b_c of the weights that read it,

    s_c = sqrt(a_c b_c) / b_c

gives both the same range. Behind a BatchNorm a channel is about normal, with the mean beta and the deviation gamma: its
range is |beta| + 3 |gamma|, without a sample; else that of the weights that make it.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekd.compress._fold import attribute
from edgekd.compress._graph import CONVS, IGNORED, arguments, op, source_of

# f(s x) = s f(x) for s > 0, in each channel by itself.
HOMOGENEOUS = IGNORED | {"relu", "leaky_relu", "prelu"}
POOLING = frozenset(f"{name}_pool{rank}d" for name in ("max", "avg", "adaptive_avg") for rank in (1, 2, 3))
MOST = 100.0  # by which a channel is scaled at once: ranges of almost nothing stay finite
ROUNDS = 10  # a depthwise layer stands in two pairs: each is set again after the other
DEVIATIONS = 3.0


class Pair(NamedTuple):
    """Two layers and the C channels between them.

    Attributes:
        producers: parameters whose first axis is those channels: of the layer that makes them, or of its BatchNorm.
        normed: whether they are a BatchNorm's factor and offset; else a weight, and its bias where there is one.
        weight: (O, C / groups, ...) of the layer that reads them.
        groups: of that layer.
    """

    producers: tuple[Tensor, ...]
    normed: bool
    weight: Tensor
    groups: int


def equalize(graph: GraphModule) -> int:
    """Scale, in place, the channels between layers that nothing but homogeneous functions stands between.

    Returns:
        How many pairs of layers there are.
    """
    uses = Counter(str(node.target) for node in graph.graph.nodes if node.op == "get_attr" for _ in node.users)
    pairs = [pair for node in graph.graph.nodes if (pair := _pair(graph, node, uses)) is not None]
    with torch.no_grad():
        for _ in range(ROUNDS):
            for pair in pairs:
                _scale(pair)
    return len(pairs)


def _pair(graph: GraphModule, reader: Node, uses: Counter[str]) -> Pair | None:
    """What a layer reads of the layer before it, where it alone reads it."""
    if op(reader) not in CONVS | {"linear"}:
        return None
    between = HOMOGENEOUS | POOLING if op(reader) in CONVS else HOMOGENEOUS  # pools of rows mix their channels
    maker = source_of(reader)
    while maker is not None and op(maker) in between and len(maker.users) == 1:
        maker = source_of(maker)
    if maker is None or len(maker.users) != 1 or (op(maker) == "linear") != (op(reader) == "linear"):
        return None
    producers, weight = _producers(graph, maker, uses), _parameter(graph, arguments(reader)[1], uses)
    groups = int(arguments(reader)[6]) if op(reader) in CONVS and len(reader.args) > 6 else 1
    if not producers or weight is None or len(producers[0]) != weight.shape[1] * groups:
        return None
    return Pair(producers, op(maker) == "batch_norm", weight, groups)


def _producers(graph: GraphModule, maker: Node, uses: Counter[str]) -> tuple[Tensor, ...]:
    """What divides the channels that a node gives; nothing where it can't be done."""
    given = [argument for argument in arguments(maker)[1:3] if argument is not None]
    if op(maker) not in CONVS | {"linear", "batch_norm"} or not given:
        return ()
    parameters = [_parameter(graph, argument, uses) for argument in given]
    known = tuple(parameter for parameter in parameters if parameter is not None)
    return known if len(known) == len(parameters) else ()


def _parameter(graph: GraphModule, node: object, uses: Counter[str]) -> Tensor | None:
    """A parameter that is read once; what is computed from others, or shared, is None."""
    if not isinstance(node, Node) or node.op != "get_attr" or uses[str(node.target)] != 1:
        return None
    value = attribute(graph, node)
    return value.detach() if isinstance(value, Tensor) else None


def _scale(pair: Pair) -> None:
    by_group = pair.weight.unflatten(0, (pair.groups, -1))  # (groups, O / groups, C / groups, ...)
    read_reach = by_group.abs().amax(dim=[1, *range(3, by_group.ndim)]).flatten()
    if pair.normed:
        factor, offset = pair.producers
        reach = offset.abs() + DEVIATIONS * factor.abs()
    else:
        reach = pair.producers[0].abs().flatten(1).amax(dim=1)
    scale = (reach / read_reach).sqrt().clamp(1 / MOST, MOST)
    scale = torch.where((reach > 0) & (read_reach > 0), scale, 1.0)
    for parameter in pair.producers:
        parameter.div_(scale.reshape(-1, *[1] * (parameter.ndim - 1)))
    by_group.mul_(scale.reshape(pair.groups, 1, -1, *[1] * (by_group.ndim - 3)))
