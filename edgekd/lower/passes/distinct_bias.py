"""No int8 linear layer has the same bias everywhere: OpenVINO's kernel takes that for none, and answers wrongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, constant, drop_unused, producer, weight_dq

TINY = np.float32(1e-30)  # a normal number, so that nothing flushes it to zero


@dataclass(frozen=True)
class DistinctBias:
    """Let one entry of such a bias differ by the least that the file can say.

    OpenVINO 2026.4.1 on AVX512-VNNI: a FullyConnected without a bias whose int8 output feeds another answers wrongly
    for small batches (1 to 7 of 64 x 32 x 16, up to 63 of others; errors of 0.5 to 1e8 times the score range). A bias
    of one value everywhere counts as none: it becomes a power of the whole tensor. Right where one entry differs, with
    ``ONEDNN_MAX_CPU_ISA`` at ``AVX2`` or ``AVX512_CORE``, and where there is but one output. The least is one step of
    an int32 bias, which is what one product of the smallest weight and activation adds, and from 2^23 on as many as
    float32 can tell apart (a bias of 46,000,000 moved by one step was still answered wrongly); of a float one the next
    float.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if (width := outputs(node)) < 2:
                continue
            if node.op_type == "Gemm":
                _of_gemm(model.graph, node)
            elif (bias_place := added(node)) is not None:
                _move_float(model.graph, *bias_place, width)
        drop_unused(model.graph)


def outputs(node: ir.Node) -> int:
    """How many an int8 linear layer has; 0 for any other node."""
    dq = weight_dq(node.inputs[1], axis=1) if node.op_type in ("Gemm", "MatMul") else None
    weight = None if dq is None else constant(dq.inputs[0])
    return 0 if weight is None else int(weight.shape[1])


def added(node: ir.Node) -> tuple[ir.Node, int] | None:
    """The Add that alone reads a node and adds a constant, and which of its inputs that is."""
    out = node.outputs[0]
    users = [use.node for use in out.uses()]
    if len(users) != 1 or users[0].graph is not node.graph or users[0].op_type != "Add":
        return None
    index = next((i for i, value in enumerate(users[0].inputs) if value is not out), None)
    return None if index is None or constant(users[0].inputs[index]) is None else (users[0], index)


def _of_gemm(graph: ir.Graph, node: ir.Node) -> None:
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return
    dq = producer(node.inputs[2])
    if dq is None:
        _move_float(graph, node, 2, outputs(node))
        return
    whole, scale = constant(dq.inputs[0]), constant(dq.inputs[1])
    if whole is None or scale is None or not _uniform(whole.astype(np.float32) * scale.astype(np.float32)):
        return
    moved = whole.astype(np.int32)
    # OpenVINO multiplies by the scale in float32, in which one step of a large bias is lost. The product may round what
    # lies one float apart to the same, but not what lies two apart.
    first = int(moved[0])
    step = max(1, int(2 * np.spacing(np.float32(abs(first)))))
    moved[0] = first + step if first + step < 2**31 else first - step
    dq.replace_input_with(0, add_constant(graph, f"{node.name}_distinct_bias", moved))


def _move_float(graph: ir.Graph, node: ir.Node, index: int, width: int) -> None:
    bias = constant(node.inputs[index])
    if bias is None or bias.size not in (1, width) or not _uniform(bias):
        return
    moved = np.full((width,), bias.flat[0], np.float32) if bias.size == 1 else bias.astype(np.float32)
    flat = moved.reshape(-1)
    flat[0] = TINY if flat[0] == 0 else np.nextafter(flat[0], np.float32(np.inf))
    node.replace_input_with(index, add_constant(graph, f"{node.name}_distinct_bias", moved))


def _uniform(values: NDArray[np.generic]) -> bool:
    return bool((values == values.flat[0]).all())
