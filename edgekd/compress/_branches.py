"""Convolutions of one tensor whose results are added become one (RepVGG: Ding et al. 2021, arXiv:2101.03697). Exact."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from edgekd.compress._fold import affine_of, value_of
from edgekd.compress._graph import CONVS, arguments, new_layer, op, sizes_of, source_of

aten = torch.ops.aten
CONVOLUTIONS = {1: aten.conv1d.default, 2: aten.conv2d.default, 3: aten.conv3d.default}  # by spatial axes


class Branch(NamedTuple):
    """A convolution of ``source`` with its BatchNorm: (O, I / groups, h, w) weight, (O,) bias; sizes a spatial axis."""

    source: Node
    weight: Tensor
    bias: Tensor
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    node: Node

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(self.weight.shape[2:])

    def fits(self, other: Branch) -> bool:
        """Whether both look at the same places: their middles lie on each other."""
        return self._looks() == other._looks()

    def _looks(self) -> tuple[object, ...]:
        middle = [2 * pad - size for pad, size in zip(self.padding, self.kernel, strict=True)]
        return self.source, self.stride, self.groups, len(self.bias), middle


def merge_branches(graph: GraphModule) -> None:
    """Put one convolution in place of each sum of several, and of a BatchNorm of the same tensor, in place.

    The statistics of their BatchNorms have to stand still. ONNX Runtime ran a RepVGG 1.11 to 1.17 times as long with
    the branches as they are trained.
    """
    for number, total in enumerate([node for node in graph.graph.nodes if op(node) == "add"]):
        summands = _summands(total) if not any(op(user) == "add" for user in total.users) else []
        leaves = [summand for summand in summands if isinstance(summand, Node)]
        branches = [_branch(graph, leaf) for leaf in leaves]
        known = [branch for branch in branches if branch is not None]
        convolutions = [branch for branch in known if branch.kernel]
        largest = max(convolutions, key=lambda branch: branch.weight[0, 0].numel(), default=None)
        if largest is None or len(convolutions) < 2 or len(known) < len(leaves):
            continue
        named = [branch if branch.kernel else _pixel(branch, largest) for branch in known]
        if all(largest.fits(branch) for branch in named):
            offset = sum(summand for summand in summands if not isinstance(summand, Node))
            _replace(graph, total, named, largest, offset, number)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _summands(node: Node) -> list[Node | float]:
    """What is added up here, through additions that nothing else reads; Python's ``sum`` begins with a number."""
    summands: list[Node | float] = []
    for arg in arguments(node)[:2]:
        nested = isinstance(arg, Node) and op(arg) == "add" and len(arg.users) == 1 and not arg.kwargs
        summands += _summands(arg) if nested else [arg]
    return summands if not node.kwargs else []


def _branch(graph: GraphModule, leaf: Node) -> Branch | None:
    """A convolution, a convolution with its BatchNorm, or a BatchNorm alone, read by the sum alone; else None."""
    if len(leaf.users) != 1 or op(leaf) not in CONVS | {"batch_norm"}:
        return None
    if op(leaf) != "batch_norm":
        return _convolution(graph, leaf)
    values, source = affine_of(graph, leaf), source_of(leaf)
    if values is None or source is None:
        return None
    factor, offset = values
    inner = _convolution(graph, source) if op(source) in CONVS and len(source.users) == 1 else None
    if inner is None:
        return Branch(source, factor.reshape(-1, 1), offset, (), (), 0, leaf)
    weight = inner.weight * factor.reshape(-1, *[1] * (inner.weight.ndim - 1))
    return inner._replace(weight=weight, bias=inner.bias * factor + offset)


def _convolution(graph: GraphModule, node: Node) -> Branch | None:
    args = [*arguments(node), *[None] * 7][:7]
    weight, bias = value_of(graph, args[1]), value_of(graph, args[2])
    if weight is None or not isinstance(args[0], Node) or isinstance(args[4], str):
        return None
    rank = weight.ndim - 2
    stride, padding = sizes_of(args[3], rank, 1), sizes_of(args[4], rank, 0)
    if any(step != 1 for step in sizes_of(args[5], rank, 1)):
        return None
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return Branch(args[0], weight, bias, stride, padding, int(args[6] or 1), node)


def _pixel(norm: Branch, like: Branch) -> Branch:
    """A BatchNorm of the tensor itself, as a convolution of one pixel in the groups of another."""
    outputs, inputs = like.weight.shape[:2]
    rank = len(like.kernel)
    weight = like.weight.new_zeros(outputs, inputs, *[1] * rank)
    if len(norm.bias) == outputs:
        places = torch.arange(outputs)
        weight[places, places % inputs] = norm.weight.reshape(-1, *[1] * rank)
    return norm._replace(weight=weight, stride=(1,) * rank, padding=(0,) * rank, groups=like.groups)


def _replace(
    graph: GraphModule, total: Node, branches: list[Branch], largest: Branch, offset: float, number: int
) -> None:
    kernel = [max(sizes) for sizes in zip(*(branch.kernel for branch in branches), strict=True)]  # 3x1 and 1x3: 3x3
    middle = zip(largest.padding, kernel, largest.kernel, strict=True)
    padding = [pad + (big - small) // 2 for pad, big, small in middle]
    weight = largest.weight.new_zeros(*largest.weight.shape[:2], *kernel)
    bias = torch.full_like(largest.bias, offset)
    for branch in branches:
        around = [(big - small) // 2 for big, small in zip(kernel, branch.kernel, strict=True)]
        weight += F.pad(branch.weight, [size for side in reversed(around) for size in (side, side)])
        bias += branch.bias
    with graph.graph.inserting_before(total):
        values = new_layer(graph, total, f"merged_{number}", weight, bias)
        spread = (list(largest.stride), padding, [1] * len(kernel), largest.groups)
        merged = graph.graph.call_function(CONVOLUTIONS[len(kernel)], (largest.source, *values, *spread))
    merged.meta = dict(largest.node.meta)
    total.replace_all_uses_with(merged)
    _erase(graph, total)


def _erase(graph: GraphModule, total: Node) -> None:
    """Take a sum out that nothing reads: one in place would keep its branches alive."""
    summands = total.all_input_nodes
    graph.graph.erase_node(total)
    for summand in summands:
        if op(summand) == "add" and not summand.users:
            _erase(graph, summand)
