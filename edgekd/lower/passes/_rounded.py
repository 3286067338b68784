"""Activations between a QuantizeLinear and a DequantizeLinear: what passes ask of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import constant, producer


class Grid(NamedTuple):
    """The steps of a tensor with one scale: the size of each, which of them is zero, the first and the last."""

    scale: NDArray[np.float32]
    zero: NDArray[np.generic]
    least: int
    most: int

    def code(self, value: float) -> int:
        """The step that a number is rounded to."""
        ends = (self.least - int(self.zero), self.most - int(self.zero))
        return int(self.zero) + int(np.rint(np.float32(np.clip(value / float(self.scale), *ends))))

    def same(self, other: Grid) -> bool:
        """Whether two tensors are rounded alike."""
        return bool(self.scale == other.scale and self.zero == other.zero and self.zero.dtype == other.zero.dtype)


def grid(node: ir.Node | None, kind: str) -> Grid | None:
    """The steps of a QuantizeLinear or DequantizeLinear of one scale; None for any other node."""
    if node is None or node.op_type != kind or len(node.inputs) < 3:
        return None
    scale, zero = constant(node.inputs[1]), constant(node.inputs[2])
    if scale is None or zero is None or scale.size != 1 or zero.dtype not in (np.uint8, np.int8):
        return None
    least, most = (0, 255) if zero.dtype == np.uint8 else (-128, 127)
    return Grid(scale.astype(np.float32).reshape(()), zero.reshape(()), least, most)


def restored(value: ir.Value | None) -> Grid | None:
    """The steps of a tensor that comes out of a DequantizeLinear and was no constant."""
    node = producer(value)
    known = grid(node, "DequantizeLinear")
    return None if node is None or known is None or constant(node.inputs[0]) is not None else known


def inner_sizes(value: ir.Value) -> list[int] | None:
    """All sizes but the batch; None where one is free, or nothing is known."""
    sizes = [] if value.shape is None else [size for size in value.shape[1:] if isinstance(size, int)]
    return sizes if value.shape is not None and len(sizes) == len(value.shape) - 1 else None


def is_free(value: ir.Value | None) -> bool:
    """Whether a size other than the batch is free, as the length of texts."""
    return value is not None and value.shape is not None and not all(isinstance(n, int) for n in value.shape[1:])


def pads_itself(node: ir.Node) -> bool:
    """Whether a convolution or pooling works its padding out from the sizes."""
    attribute = node.attributes.get("auto_pad")
    return attribute is not None and attribute.as_string() != "NOTSET"


def zeros_around(pad: ir.Node) -> tuple[list[int], list[int]] | None:
    """How much a Pad puts before and behind each axis but the first two; None where it is anything but zeros there."""
    mode = pad.attributes.get("mode")
    amounts = constant(pad.inputs[1]) if len(pad.inputs) > 1 else None
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    filled = None if value is None else constant(value)
    if (mode is not None and mode.as_string() != "constant") or amounts is None or len(pad.inputs) > 3:
        return None
    if value is not None and (filled is None or filled.any()):
        return None
    sizes = [int(size) for size in amounts.reshape(-1)]
    rank = len(sizes) // 2
    before, behind = sizes[:rank], sizes[rank:]
    if rank < 3 or min(sizes) < 0 or any((*before[:2], *behind[:2])):
        return None
    return before[2:], behind[2:]


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads a value, where it stands in the same graph and not in a branch of it; or None."""
    readers = [use.node for use in value.uses()]
    if len(readers) != 1 or readers[0].graph is not value.graph or value.is_graph_output():
        return None
    return readers[0]
