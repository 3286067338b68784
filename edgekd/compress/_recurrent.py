"""LSTMs in int8: what of them is rounded, and the grids that a kernel wants which adds up its two products.

A step multiplies its input and its last state, h, by a matrix each, and adds the two. h = o tanh(c) lies between -1 and
1, so its scale is known: nothing watches what is inside a runtime's kernel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekd.compress._fold import attribute
from edgekd.compress._graph import IGNORED, PASSING, arguments, behind, op, source_of
from edgekd.compress._observers import Rounding
from edgekd.spec.target import STATE_SCALE

GATES = 4


def cells_of(node: Node) -> list[tuple[Node, Node]]:
    """The (4H, I) and (4H, H) matrices of an LSTM's input and state, layer by layer, each forward, then backward.

    Empty for one with projections, or of packed sequences, which no runtime has in int8.
    """
    args = arguments(node)
    if op(node) != "lstm" or not isinstance(args[1], list | tuple):
        return []
    step = 4 if args[3] else 2
    weights, cells = list(args[2]), int(args[4]) * (2 if args[7] else 1)
    if len(weights) != cells * step:
        return []
    return [(weights[i], weights[i + 1]) for i in range(0, len(weights), step)]


class _Cell(NamedTuple):
    """What rounds the weights of a cell's input and state, what those are multiplied by, and its largest products."""

    roundings: list[Rounding]
    scales: list[float]
    most: Tensor


def share_scales(graph: GraphModule) -> None:
    """Put each unit's weights onto grids whose products have one scale, in place, before the conversion.

    OpenVINO's kernel adds the products up as integers: the scale of an input times that of its weights has to be that
    of a state times that of its weights. It takes the scales of the gates in another order than the gates, so a unit
    has one for all four; and of layers of the same sizes it builds one kernel, with the scales of the first, so they
    have the same. From the weights as they were trained: rounding rounded ones again would move them more.
    """
    alike: dict[tuple[torch.Size, ...], list[_Cell]] = {}
    for node in graph.graph.nodes:
        first = 2 if cells_of(node) and arguments(node)[7] else 1  # cells that read the layer's own input
        for number, weights in enumerate(cells_of(node)):
            scale = _scale_of(graph, arguments(node)[0]) if number < first else STATE_SCALE
            roundings = [rounding for weight in weights if (rounding := _rounding(graph, weight)) is not None]
            if scale is None or len(roundings) < len(weights):
                continue
            values, scales = [attribute(graph, _parameter(weight)) for weight in weights], [scale, STATE_SCALE]
            most = [value.detach().abs().amax(1) * k for value, k in zip(values, scales, strict=True)]
            cell = _Cell(roundings, scales, torch.maximum(*most).reshape(GATES, -1).amax(0))
            alike.setdefault(tuple(value.shape for value in values), []).append(cell)
    for cells in alike.values():
        product = torch.stack([cell.most for cell in cells]).amax(0).clamp(min=2**-24).repeat(GATES)
        for cell in cells:
            for rounding, scale in zip(cell.roundings, cell.scales, strict=True):
                rounding.set_rows(product / scale / rounding.quant_max)


def _parameter(weight: Node) -> Node:
    """The parameter that a prepared graph rounds."""
    source = source_of(weight)
    return source if weight.op == "call_module" and source is not None else weight


def _rounding(graph: GraphModule, node: Node) -> Rounding | None:
    module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    return module if isinstance(module, Rounding) else None


def _scale_of(graph: GraphModule, x: Node) -> float | None:
    """The scale of what a layer reads: of its rounding, or of the table whose rows it is."""
    at = behind(x, PASSING | IGNORED)
    rounding = _rounding(graph, arguments(at)[0] if op(at) == "embedding" else at)
    return None if rounding is None else float(rounding.calculate_qparams()[0])
