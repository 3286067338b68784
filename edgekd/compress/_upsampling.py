"""Transposed convolutions as convolutions of the small map, and a shuffle of their channels. Exact.

No runtime here but OpenVINO has an integer kernel for them. Each output place is a sum over the few inputs that reach
it; those of one phase (a place's remainder by the stride) share their weights (sub-pixel convolution: Shi et al. 2016,
arXiv:1609.07009).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekd.compress._fold import affine_of, value_of
from edgekd.compress._graph import arguments, call_like, new_layer, op, overload_of, sizes_of

aten = torch.ops.aten
TRANSPOSED = {"conv_transpose1d": aten.conv1d.default, "conv_transpose2d": aten.conv2d.default}
BEHIND = frozenset({"relu", "relu6", "hardtanh", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "hardswish"})


class Axis(NamedTuple):
    """One spatial axis: which input places, from ``first`` to ``last`` around its own, reach an output's phases."""

    first: int
    last: int
    taps: tuple[tuple[int, int, int], ...]  # phase, input place, index into the kernel


def rewrite_upsampling(graph: GraphModule, frozen: bool) -> None:
    """Rewrite, in place, those of one group whose outputs are a whole number of strides.

    Those of several groups take longer so: 161 against 84 us of a network with two on ONNX Runtime.

    Args:
        frozen: whether BatchNorms behind them keep their statistics, and can be folded.
    """
    for number, node in enumerate([node for node in graph.graph.nodes if op(node) in TRANSPOSED]):
        _rewrite(graph, node, number, frozen)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _rewrite(graph: GraphModule, node: Node, number: int, frozen: bool) -> None:
    args = [*arguments(node), *[None] * 8][:8]
    weight, bias = (value_of(graph, arg) for arg in args[1:3])
    sizes, before = node.meta["val"].shape[2:], args[0].meta["val"].shape[2:]
    if weight is None or int(args[6] or 1) != 1 or not all(isinstance(size, int) for size in (*sizes, *before)):
        return
    rank = weight.ndim - 2
    strides, pads = sizes_of(args[3], rank, 1), sizes_of(args[4], rank, 0)
    if max(strides) == 1 or any(step != 1 for step in sizes_of(args[7], rank, 1)):
        return
    if any(size % stride for size, stride in zip(sizes, strides, strict=True)) or len(set(strides)) > 1:
        return
    axes = [_axis(*spread) for spread in zip(weight.shape[2:], strides, pads, strict=True)]
    last, factor, offset = _norm_behind(graph, node, weight, frozen)
    bias = (weight.new_zeros(weight.shape[1]) if bias is None else bias) * factor + offset
    phases = strides[0] ** rank
    values = _kernel(weight * factor.reshape(1, -1, *[1] * rank), axes, strides[0]), bias.repeat_interleave(phases)
    with graph.graph.inserting_before(node):
        small = _convolution(graph, node, args[0], values, _around(axes, sizes, before, strides[0]), number)
        tail = last
        while len(tail.users) == 1 and op(next(iter(tail.users))) in BEHIND:  # the same on each channel, moved or not
            tail = next(iter(tail.users))
            small = call_like(graph, tail, overload_of(tail), (small, *tail.args[1:]), dict(tail.kwargs))
        large = _shuffled(graph, node, small, weight.shape[1], strides[0])
    tail.replace_all_uses_with(large)


def _axis(kernel: int, stride: int, pad: int) -> Axis:
    """Output ``stride i + phase`` reads inputs ``i + place`` at those indices of the kernel."""
    taps = [
        (phase, (phase + pad) // stride - turn, (phase + pad) % stride + stride * turn)
        for phase in range(stride)
        for turn in range(-(-kernel // stride))
        if (phase + pad) % stride + stride * turn < kernel
    ]
    places = [place for _, place, _ in taps]
    return Axis(min(places), max(places), tuple(taps))


def _kernel(weight: Tensor, axes: list[Axis], stride: int) -> Tensor:
    """(O stride^d, I, ...) of the (I, O, ...) kernel; an output's lie together, as ``pixel_shuffle`` reads."""
    inputs, outputs = weight.shape[:2]
    small = weight.new_zeros(outputs, *[stride] * len(axes), inputs, *[axis.last - axis.first + 1 for axis in axes])
    for taps in product(*(axis.taps for axis in axes)):
        phases = [tap[0] for tap in taps]
        places = [tap[1] - axis.first for tap, axis in zip(taps, axes, strict=True)]
        to: list[int | slice] = [slice(None), *phases, slice(None), *places]
        of: list[int | slice] = [slice(None), slice(None), *(tap[2] for tap in taps)]
        small[tuple(to)] = weight[tuple(of)].T
    return small.flatten(0, len(axes))


def _around(axes: list[Axis], sizes: Sequence[int], before: Sequence[int], stride: int) -> list[tuple[int, int]]:
    """Zeros before and behind each axis of the input; below zero: what is not read."""
    spread = zip(axes, sizes, before, strict=True)
    return [(-axis.first, size // stride - 1 + axis.last - (small - 1)) for axis, size, small in spread]


def _norm_behind(graph: GraphModule, node: Node, like: Tensor, frozen: bool) -> tuple[Node, Tensor, Tensor]:
    """The BatchNorm behind a layer, and what it multiplies and adds; the layer itself, one and zero, without one."""
    channels = like.shape[1]
    user = next(iter(node.users)) if len(node.users) == 1 else node
    if frozen and op(user) == "batch_norm":
        values = affine_of(graph, user)
        if values is not None:
            return user, *values
    return node, like.new_ones(channels), like.new_zeros(channels)


def _convolution(
    graph: GraphModule, node: Node, x: Node, values: tuple[Tensor, Tensor], around: list[tuple[int, int]], number: int
) -> Node:
    parameters = new_layer(graph, node, f"upsampling_{number}", *values)
    pads = [0] * len(around)
    if all(before == behind >= 0 for before, behind in around):
        pads = [before for before, _ in around]
    else:
        ends = [end for side in reversed(around) for end in side]
        x = call_like(graph, node, aten.constant_pad_nd.default, (x, ends))
    ones = [1] * len(around)
    return call_like(graph, node, TRANSPOSED[op(node)], (x, *parameters, ones, pads, ones, 1))


def _shuffled(graph: GraphModule, node: Node, small: Node, channels: int, stride: int) -> Node:
    if op(node) == "conv_transpose2d":
        return call_like(graph, node, aten.pixel_shuffle.default, (small, stride))
    parts = call_like(graph, node, aten.unflatten.int, (small, 1, [channels, stride]))
    turned = call_like(graph, node, aten.transpose.int, (parts, 2, 3))
    return call_like(graph, node, aten.flatten.using_ints, (turned, 2, 3))
