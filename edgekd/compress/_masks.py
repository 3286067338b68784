"""Masks in an exported graph: large numbers, or infinities, that are added to what must not count."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.fx import Node

from edgekd.compress._fold import attribute
from edgekd.compress._graph import LAYERS, PRODUCTS, arguments, op

LARGE = 1e3  # beyond what layers give: of so many times a mask's range eight bits leave nothing
# Operators whose numbers are values, not sizes or places.
VALUED = frozenset(
    {
        *("add", "sub", "rsub", "mul", "div", "where", "masked_fill", "fill", "full", "full_like", "new_full"),
        "scalar_tensor",
    }
)


# Operators of which a number is made of those at its own place alone.
BY_PLACE = frozenset(
    {
        *("bitwise_and", "bitwise_or", "bitwise_not", "logical_and", "logical_or", "logical_not", "__and", "__or"),
        *("add", "sub", "rsub", "mul", "div", "where", "masked_fill", "log", "to", "_to_copy", "expand", "clone"),
    }
)


def differs_by_query(mask: Node, following: set[Node]) -> bool:
    """Whether the inputs hide other places from one query than from another: then one may be left nothing.

    A mask of keys alone (padding), also where no query sees what comes later, leaves the first token of a text to all
    that stand for one. Of two 16-wide BERTs one operator less a layer was 9 % of the time on ONNX Runtime.

    Args:
        mask: (..., queries, keys).
        following: the nodes that follow from the inputs' numbers.
    """
    todo = [mask]
    while todo:
        at = todo.pop()
        shape: tuple[object, ...] = getattr(at.meta["val"], "shape", ())  # sizes are numbers, and have none
        if at not in following or len(shape) < 2 or (isinstance(shape[-2], int) and shape[-2] == 1):
            continue
        if op(at) not in BY_PLACE:
            return True
        todo += at.all_input_nodes
    return False


def holds_infinity(mask: Node) -> bool:
    """Whether a mask may hide all that a query could attend to: one of places, or one of summands with -inf among them.

    Of summands that are finite a softmax is always one.
    """
    if mask.meta["val"].dtype is torch.bool:
        return True
    return any(op(node) == "log" or math.inf in map(abs, _values(node)) for node in _behind(mask))


def is_mask(node: Node) -> bool:
    """Whether a tensor is made of numbers beyond ``LARGE``, or logarithms, and of no layer: it is there to be added."""
    return any(op(at) == "log" or any(abs(value) >= LARGE for value in _values(at)) for at in _behind(node))


def _behind(node: Node) -> Iterator[Node]:
    """A node, and what it is made of, up to layers and products of activations."""
    todo, done = [node], set[Node]()
    while todo:
        at = todo.pop()
        if at not in done and op(at) not in LAYERS | PRODUCTS:
            done.add(at)
            todo += at.all_input_nodes
            yield at


def _values(node: Node) -> list[float]:
    """The numbers that an operator computes with; a constant's own where it is a single one."""
    if node.op == "get_attr":
        value = attribute(node.graph.owning_module, node)
        return [float(value)] if isinstance(value, Tensor) and value.numel() == 1 else []
    if op(node) not in VALUED:
        return []
    values = [*arguments(node), *node.kwargs.values()]
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if op(node) == "div":
        return [1 / value if value else math.inf for value in numbers]
    return numbers
