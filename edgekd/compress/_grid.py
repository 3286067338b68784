"""Biases on the grid of an int8 kernel's sums, so that the torch network says what the runtimes will.

An int8 kernel adds its bias to sums of products of integers, whose step is (input's scale) x (weight's scale). A
runtime that is given a float bias rounds it to that grid by itself. The rounding is small, but a deep network makes
much of it: on ResNet-20 it changed a fifth of the last layer's activations by one step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

LAYERS = (
    torch.ops.aten.conv1d.default,
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv3d.default,
    torch.ops.aten.linear.default,
)


@torch.no_grad()
def snap_biases(graph: GraphModule) -> None:
    """Round each bias of a layer with int8 input and weights to a whole number of its steps, in place.

    Args:
        graph: after conversion, with quantize and dequantize nodes.
    """
    for node in graph.graph.nodes:
        if node.target not in LAYERS or len(node.args) < 3:
            continue
        scales = [_scale(graph, source) for source in node.args[:2]]
        bias = _tensor(graph, node.args[2])
        if bias is None or scales[0] is None or scales[1] is None:
            continue
        # As the runtimes compute the step: a product in float32.
        step = (scales[0].float() * scales[1].float()).double().reshape(-1)
        bias.data = (torch.round(bias.double() / step) * step).to(bias.dtype)


def _scale(graph: GraphModule, node: object) -> Tensor | None:
    """The scale of a dequantized tensor, or None for another."""
    if not isinstance(node, Node) or "dequantize" not in str(node.target):
        return None
    scale: Any = node.args[1]
    return _tensor(graph, scale) if isinstance(scale, Node) else torch.tensor(float(scale))


def _tensor(graph: GraphModule, node: object) -> Tensor | None:
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    target: object = graph
    for part in str(node.target).split("."):
        target = getattr(target, part)
    return target if isinstance(target, nn.Parameter | Tensor) else None
