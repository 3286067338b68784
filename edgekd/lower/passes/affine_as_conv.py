"""A factor and a summand a channel, between two roundings, are a depthwise convolution of one pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, constant, drop_unused, replace
from edgekd.lower.passes._rounded import only_reader, restored

Floats = NDArray[np.float32]
STEPS = 63  # of seven bits: no kernel's sum of two products saturates


@dataclass(frozen=True)
class AffineAsConv:
    """``DQ(x) * g + h [-> Relu] -> QuantizeLinear`` -> ``Conv(DQ(x), DQ(63 sign(g), |g| / 63), h)``, a group a channel.

    So is a BatchNorm behind an addition or a Concat, which nothing folds. With one weight a channel, and a scale for
    each, no factor is rounded. ONNX Runtime's int8 kernel takes 8 us for 32x32x32 where the two operators in float, and
    what converts around them, take 32.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Mul":
                _one(model.graph, node)
        drop_unused(model.graph)


def _one(graph: ir.Graph, product: ir.Node) -> None:
    x = next((value for value in product.inputs if restored(value) is not None), None)
    if x is None or x.shape is None or len(x.shape) not in (3, 4) or not isinstance(x.shape[1], int):
        return
    channels, rank = x.shape[1], len(x.shape)
    factor = _by_channel(product, x, channels, rank)
    total = only_reader(product.outputs[0])
    offset = None if total is None or total.op_type != "Add" else _by_channel(total, product.outputs[0], channels, rank)
    if factor is None or offset is None or total is None:
        return
    behind = only_reader(total.outputs[0])
    if behind is not None and behind.op_type == "Relu":
        behind = only_reader(behind.outputs[0])
    if behind is None or behind.op_type != "QuantizeLinear":
        return
    replace(total.outputs[0], depthwise(graph, product, x, factor, offset, (1,) * (rank - 2)))


def _by_channel(node: ir.Node, x: ir.Value, channels: int, rank: int) -> Floats | None:
    """What a node multiplies or adds to each channel."""
    values = constant(next((value for value in node.inputs if value is not x), None))
    if values is None or values.size not in (1, channels):
        return None
    shape = (1,) * (rank - values.ndim) + values.shape if values.ndim <= rank else ()
    if values.size == channels and (len(shape) != rank or shape[1] != channels):
        return None
    return np.broadcast_to(values.astype(np.float32).reshape(-1), (channels,))


def depthwise(
    graph: ir.Graph,
    before: ir.Node,
    x: ir.Value,
    factor: Floats,
    offset: Floats | None,
    kernel: tuple[int, ...],
    attributes: dict[str, list[int]] | None = None,
) -> ir.Value:
    """What a convolution of one weight a channel, the same at each place of the kernel, gives; put before a node."""
    channels = len(factor)
    sign = np.where(factor < 0, -STEPS, STEPS).astype(np.int8)
    weight = np.broadcast_to(sign.reshape(-1, *[1] * (len(kernel) + 1)), (channels, 1, *kernel)).copy()
    scale = np.maximum(np.abs(factor) / STEPS, np.finfo(np.float32).tiny).astype(np.float32)
    base = f"{before.name}_depthwise"
    inputs = [
        add_constant(graph, f"{base}_weight", weight),
        add_constant(graph, f"{base}_scale", scale),
        add_constant(graph, f"{base}_zero", np.zeros(channels, np.int8)),
    ]
    dequantize = ir.node("DequantizeLinear", inputs, attributes={"axis": 0})
    bias = [] if offset is None else [add_constant(graph, f"{base}_bias", offset.astype(np.float32))]
    conv = ir.node(
        "Conv",
        [x, dequantize.outputs[0], *bias],
        attributes={"group": channels, "kernel_shape": list(kernel), **(attributes or {})},
    )
    graph.insert_before(before, [dequantize, conv])
    return conv.outputs[0]
