"""What is reduced keeps its axes where channels are scaled behind it, for OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, insert_behind
from edgekd.lower.passes._rounded import only_reader

REDUCTIONS = frozenset({"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd"})
BY_CHANNEL = frozenset({"Mul", "Add", "Sub", "Div", "BatchNormalization"})


@dataclass(frozen=True)
class KeptAxes:
    """``Reduce(keepdims=0) -> Mul, Add .. by channel`` -> ``Reduce(keepdims=1) -> Squeeze -> Mul, Add ..``.

    OpenVINO 2026.4 folds what is done by channel into the rounding behind it, rounds in the kernel of the reduction,
    and counts the channels along the second axis of what goes in: where an axis before the channels goes away the
    answers are wrong (two branches summed, steps averaged before a BatchNorm).
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            reduces = node.op_type in REDUCTIONS and attribute_int(node, "keepdims", 1) == 0
            if reduces and (axes := _before_channels(node)) is not None:
                _keep(model.graph, node, axes)


def _before_channels(node: ir.Node) -> NDArray[np.generic] | None:
    """The axes that go away, where the first or second is one and what reads the rest does so by channel."""
    x, axes = node.inputs[0], constant(node.inputs[1]) if len(node.inputs) > 1 else None
    reader = only_reader(node.outputs[0])
    if x is None or x.shape is None or axes is None or reader is None or reader.op_type not in BY_CHANNEL:
        return None
    rank = len(x.shape)
    by_channel = any(array is not None and array.size > 1 for array in map(constant, reader.inputs))
    return axes if by_channel and any(axis % rank < 2 for axis in axes.reshape(-1).tolist()) else None


def _keep(graph: ir.Graph, node: ir.Node, axes: NDArray[np.generic]) -> None:
    out = node.outputs[0]
    node.attributes["keepdims"] = ir.AttrInt64("keepdims", 1)
    squeezed = ir.node("Squeeze", [out, add_constant(graph, f"{node.name}_squeezed", axes)])
    insert_behind(graph, node, squeezed)
    out.shape = None
