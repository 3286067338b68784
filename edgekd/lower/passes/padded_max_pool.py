"""Zeros around what a MaxPool reads: pads of its own, and a maximum of zero where something may be below zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, insert_behind, producer
from edgekd.lower.passes._rounded import grid, pads_itself, restored, zeros_around

NOT_BELOW_ZERO = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp", "Sqrt", "Softplus")
Float = type[np.float16] | type[np.float32] | type[np.float64]
FLOATS: dict[ir.DataType, Float] = {
    ir.DataType.FLOAT16: np.float16,
    ir.DataType.FLOAT: np.float32,
    ir.DataType.DOUBLE: np.float64,
}


@dataclass(frozen=True)
class PaddedMaxPool:
    """``MaxPool(Pad(x))`` of zeros -> ``Max(MaxPool(x), border)`` with the pads in the MaxPool, or without ``border``.

    A MaxPool's own pads are below everything, so ``border`` is zero where a window reaches over the edge, and the
    lowest float elsewhere; without anything below zero it is not needed. ONNX Runtime (1.31) puts the pads into the
    MaxPool in any case: of numbers below zero it then answers otherwise, float files, too. What is left to it has a
    zero that it does not take for one, -0.0.
    """

    def __call__(self, model: ir.Model) -> None:
        for number, pool in enumerate([node for node in model.graph if node.op_type == "MaxPool"]):
            if (pad := _padding(pool)) is not None:
                _one(model.graph, pool, pad, number)
        drop_unused(model.graph)


def _padding(pool: ir.Node) -> ir.Node | None:
    """The Pad of zeros that a MaxPool reads, perhaps through a rounding to the steps of what is padded."""
    node = producer(pool.inputs[0])
    steps = grid(node, "DequantizeLinear")
    if node is not None and steps is not None:
        quantize = producer(node.inputs[0])
        node = None if quantize is None else producer(quantize.inputs[0])
        source = node.inputs[0] if node is not None and node.inputs else None
        around = (grid(quantize, "QuantizeLinear"), restored(source))
        if not all(other is not None and other.same(steps) for other in around):
            return None
    return node if node is not None and node.op_type == "Pad" and zeros_around(node) is not None else None


def _one(graph: ir.Graph, pool: ir.Node, pad: ir.Node, number: int) -> None:
    x, pads = pad.inputs[0], zeros_around(pad)
    if x is None or pads is None or (dtype := _dtype(x)) is None:
        return
    before, behind = pads
    rank = len(before)
    kernel, steps, spread = (_sizes(pool, name, rank) for name in ("kernel_shape", "strides", "dilations"))
    mine = _sizes(pool, "pads", 2 * rank, 0)
    total = [ours + more for ours, more in zip(mine, (*before, *behind), strict=True)]
    movable = not pads_itself(pool) and not attribute_int(pool, "ceil_mode", 0) and len(pool.outputs) == 1
    if not movable or any(amount >= kernel[axis % rank] for axis, amount in enumerate(total)):
        return _hide_zero(graph, pad, dtype)
    border = None
    if not _is_not_below_zero(x) or max(spread) > 1:  # a window with gaps may see zeros alone
        sizes = [] if x.shape is None else [size for size in x.shape[2:] if isinstance(size, int)]
        if len(sizes) != rank:
            return _hide_zero(graph, pad, dtype)
        border = np.zeros((), bool)
        for axis, size in enumerate(sizes):
            places = (size, before[axis], behind[axis])
            window = (kernel[axis], steps[axis], spread[axis], mine[axis], mine[rank + axis])
            border = border[..., None] | _sees_zeros(places, window)
    pool.attributes["pads"] = ir.AttrInt64s("pads", total)
    pool.replace_input_with(0, x)
    if border is not None:
        values = np.where(border[None, None], 0, np.finfo(dtype).min).astype(dtype)
        cut = ir.node("Max", [pool.outputs[0], add_constant(graph, f"border_{number}", values)])
        insert_behind(graph, pool, cut)


def _sees_zeros(places: tuple[int, int, int], window: tuple[int, int, int, int, int]) -> NDArray[np.bool_]:
    """(windows,) whether each of an axis holds one of the zeros around: size, zeros before, behind; kernel, step,
    dilation, own pads before, behind."""
    (size, before, behind), (kernel, step, spread, first, last) = places, window
    padded = before + size + behind
    count = (padded + first + last - (kernel - 1) * spread - 1) // step + 1
    at = np.arange(count)[:, None] * step - first + np.arange(kernel) * spread
    zeros = (at >= 0) & (at < padded) & ((at < before) | (at >= before + size))
    return np.asarray(zeros.any(axis=1))


def _sizes(pool: ir.Node, name: str, count: int, default: int = 1) -> list[int]:
    attribute = pool.attributes.get(name)
    return [default] * count if attribute is None else [int(size) for size in attribute.as_ints()]


def _dtype(x: ir.Value) -> Float | None:
    """Of a tensor's numbers, float32 where nothing is known; None where they are no floats."""
    return np.float32 if x.dtype is None else FLOATS.get(x.dtype)


def _is_not_below_zero(x: ir.Value) -> bool:
    node, known = producer(x), restored(x)
    if known is not None:
        return int(known.zero) == known.least
    if node is not None and node.op_type == "Clip":
        low = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        return low is not None and bool((low >= 0).all())  # type: ignore[operator]
    return node is not None and node.op_type in NOT_BELOW_ZERO


def _hide_zero(graph: ir.Graph, pad: ir.Node, dtype: Float) -> None:
    """Let ONNX Runtime pad by itself, since it can't tell what the pool may take over."""
    value = constant(pad.inputs[2]) if len(pad.inputs) > 2 else None
    hidden = value is not None and bool(np.signbit(value).all())
    if pad.inputs[0] is not None and not hidden and not _is_not_below_zero(pad.inputs[0]):
        pad.resize_inputs(3)
        pad.replace_input_with(2, add_constant(graph, f"{pad.name}_zero", np.array(-0.0, dtype)))
