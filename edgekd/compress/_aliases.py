"""What torch exports by an operator's second name, as ``torch.concat`` or ``x.mT``, by its first: rules know that."""

from __future__ import annotations

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from edgekd.compress._graph import op

aten = torch.ops.aten
FIRST_NAMES = {
    "absolute": "abs",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "true_divide": "div",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "linalg_matmul": "matmul",
    "moveaxis": "movedim",
    "multiply": "mul",
    "negative": "neg",
    "special_expit": "sigmoid",
    "subtract": "sub",
}
OTHER_OVERLOADS = {
    aten.max.other: aten.maximum.default,
    aten.min.other: aten.minimum.default,
    aten.special_softmax.default: aten.softmax.int,
    aten.swapaxes.default: aten.transpose.int,
    aten.swapdims.default: aten.transpose.int,
}
TURNED = frozenset({"mT", "mH", "adjoint", "numpy_T", "matrix_H"})


def _overloads() -> dict[OpOverload, OpOverload]:
    """Each overload of a second name, those that write into their input too, with that of the first."""
    pairs = dict(OTHER_OVERLOADS)
    for second, first in FIRST_NAMES.items():
        for written in ("", "_"):
            here, there = (getattr(aten, name + written, None) for name in (second, first))
            if here is not None and there is not None:
                names = {*here.overloads()} & {*there.overloads()}
                pairs |= {getattr(here, name): getattr(there, name) for name in names}
    return pairs


OVERLOADS = _overloads()


def use_first_names(graph: GraphModule) -> None:
    """Call each operator by its first name, in place."""
    for node in graph.graph.nodes:
        node.target = OVERLOADS.get(node.target, node.target)
        if _turns(node):
            node.target, node.args = aten.transpose.int, (node.args[0], -2, -1)


def _turns(node: Node) -> bool:
    """Whether an operator exchanges the last two axes, and does nothing else."""
    if op(node) not in TURNED:
        return False
    tensor = node.meta["val"]
    return not tensor.is_complex() and (tensor.ndim == 2 or (tensor.ndim > 2 and op(node) != "numpy_T"))
