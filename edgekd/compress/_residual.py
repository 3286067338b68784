"""Additions as a runtime fuses them: a convolution whose sum is added to is not rounded in between."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

CONVS = (torch.ops.aten.conv1d.default, torch.ops.aten.conv2d.default, torch.ops.aten.conv3d.default)


def fuse_residuals(graph: GraphModule) -> None:
    """Drop the rounding of one convolution before each addition, in place.

    OpenVINO's kernel convolves and adds at once, in float, and drops it in silence. Of two convolutions that are added
    it takes the first; the other one's output is written, in int8.

    Args:
        graph: after conversion, with quantize and dequantize nodes.
    """
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.add.Tensor and all(isinstance(arg, Node) for arg in node.args[:2]):
            for arg in node.args[:2]:
                source = _rounded(arg)
                if source is not None:
                    node.replace_input_with(arg, source)
                    break
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _rounded(dequantize: Node) -> Node | None:
    """The convolution behind a rounding that the addition alone reads."""
    if "dequantize" not in str(dequantize.target) or len(dequantize.users) != 1:
        return None
    quantize = dequantize.args[0]
    if not isinstance(quantize, Node) or "quantize" not in str(quantize.target) or len(quantize.users) != 1:
        return None
    source = quantize.args[0]
    return source if isinstance(source, Node) and source.target in CONVS else None
