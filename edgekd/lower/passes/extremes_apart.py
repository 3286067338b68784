"""What rounds the largest or smallest entries stands apart from the reduction, for OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, replace
from edgekd.lower.passes._rounded import only_reader

# What OpenVINO computes in the kernel of a reduction, or lets a rounding pass.
FUSED = frozenset(
    {
        *("Relu", "LeakyRelu", "PRelu", "Elu", "Gelu", "Sigmoid", "Tanh", "Clip", "HardSwish", "HardSigmoid", "Mish"),
        *("Softplus", "Abs", "Neg", "Sqrt", "Exp", "Add", "Sub", "Mul", "Div", "BatchNormalization", "Concat"),
        *("Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Slice", "Expand", "Tile"),
    }
)


@dataclass(frozen=True)
class ExtremesApart:
    """``ReduceMax, ReduceMin (keepdims=0) .. QuantizeLinear`` -> ``Reduce (keepdims=1) -> Squeeze .. QuantizeLinear``.

    OpenVINO 2026.4 rounds in the kernel of the reduction, and does so wrongly: by 5 to 60 % of the answers' range,
    whatever axes go away (a pooling over the steps or points of a network before a linear layer, an attention over
    places by the largest channel). Where the axes stay, or are put on again, the maximum with the least number stands
    between: OpenVINO takes away what only takes axes off and puts them on. Nothing is changed where nothing rounds.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type not in ("ReduceMax", "ReduceMin") or len(node.inputs) < 2:
                continue
            axes = constant(node.inputs[1])
            if axes is not None and not _is_apart(node) and _is_rounded(node.outputs[0]):
                _move(model.graph, node, axes)


def _is_apart(node: ir.Node) -> bool:
    """Whether the axes that it keeps are taken off by what reads it."""
    reader = only_reader(node.outputs[0])
    return bool(attribute_int(node, "keepdims", 1)) and reader is not None and reader.op_type in ("Squeeze", "Flatten")


def _is_rounded(value: ir.Value) -> bool:
    """Whether a tensor is rounded, as it is or behind what is done by entries."""
    waiting, seen = [value], {value}
    while waiting:
        for reader in (use.node for use in waiting.pop().uses()):
            if reader.op_type == "QuantizeLinear":
                return True
            if reader.op_type in FUSED and reader.outputs[0] not in seen:
                seen.add(reader.outputs[0])
                waiting.append(reader.outputs[0])
    return False


def _move(graph: ir.Graph, node: ir.Node, axes: NDArray[np.generic]) -> None:
    out, keeps = node.outputs[0], bool(attribute_int(node, "keepdims", 1))
    off = add_constant(graph, f"{node.name}_off", axes)
    behind = [ir.node("Squeeze", [out, off])]
    if keeps or any(use.node.op_type in ("Unsqueeze", "Reshape") for use in out.uses()):
        least = add_constant(graph, f"{node.name}_least", np.array([np.finfo(np.float32).min]))
        behind.append(ir.node("Max", [behind[0].outputs[0], least]))
    if keeps:
        behind.append(ir.node("Unsqueeze", [behind[1].outputs[0], off]))
    node.attributes["keepdims"] = ir.AttrInt64("keepdims", 1)
    graph.insert_after(node, behind)
    replace(out, behind[-1].outputs[0])
    behind[0].replace_input_with(0, out)
    if not keeps:
        out.shape = None
