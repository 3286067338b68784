"""What OpenVINO would not compute rightly between products of two-dimensional tensors has three axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, constant, insert_behind, producer

PRODUCTS = frozenset({"MatMul", "Gemm"})
OF_TWO = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"})
BY_ENTRY = OF_TWO | {
    *("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Sigmoid", "Tanh", "Clip", "HardSwish", "Mish"),
    *("HardSigmoid", "Softplus", "Softsign", "Erf", "Exp", "Log", "Sqrt", "Neg", "Abs", "Softmax"),
    *("QuantizeLinear", "DequantizeLinear", "Cast"),
}


@dataclass(frozen=True)
class ApartIn3d:
    """Residuals, gates and what is done by channel behind an activation, of (N, C) -> the same of (N, 1, C).

    OpenVINO 2026.4 with one thread makes one kernel of a row of products of (N, C) tensors and what is between them by
    entries. It loses count of what goes into it from elsewhere, unless that is by channel and directly behind a
    product: a float network of two residual blocks ends the process, int8 answers are wrong by a factor of 1e5, or
    there are "not enough registers" to compile them: 20 of 60 random nets for tables in float, 28 in int8. What has
    three axes is in no such kernel; a residual MLP that was right pays 2 to 3 % of its time.
    """

    def __call__(self, model: ir.Model) -> None:
        axis = None
        for node in list(model.graph):
            if node.op_type not in OF_TWO or len(node.outputs[0].shape or ()) != 2 or not _is_lost(node):
                continue
            if all(value is not None and _rank(value) is not None for value in node.inputs):
                axis = axis or add_constant(model.graph, "apart_axis", np.array([1], np.int64))
                _wrap(model.graph, node, axis)


def _is_lost(node: ir.Node) -> bool:
    """Whether an operator of two tensors stands behind a product by entries, and would take one of them wrongly."""
    constants = [constant(value) for value in node.inputs]
    given = [value for value, array in zip(node.inputs, constants, strict=True) if array is None and value is not None]
    sources = [_sources(value) for value in given]
    products = [source for each in sources for source in each if _is_product(source)]
    if not products or len(node.inputs) != 2:
        return False
    if len(given) == 2:  # a gate that is made of what it gates, as in SiLU, takes nothing from elsewhere
        return len(sources[0] | sources[1]) > 1
    return max(array.size for array in constants if array is not None) > 1 and not _is_direct(given[0])


def _sources(value: ir.Value) -> set[ir.Value]:
    """What a tensor is made of by entries alone."""
    reached: set[ir.Value] = set()
    sources: set[ir.Value] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        node = producer(each)
        if each in reached or constant(each) is not None:
            continue
        reached.add(each)
        if node is None or node.op_type not in BY_ENTRY:
            sources.add(each)
        else:
            waiting += [given for given in node.inputs if given is not None]
    return sources


def _is_product(value: ir.Value) -> bool:
    node = producer(value)
    return node is not None and node.op_type in PRODUCTS and len(value.shape or (0, 0)) == 2


def _is_direct(value: ir.Value) -> bool:
    """Whether there is nothing but steps by channel, or by one number, between a product and this."""
    while not _is_product(value):
        node = producer(value)
        given = [] if node is None else [each for each in node.inputs if constant(each) is None]
        if node is None or node.op_type not in OF_TWO or len(given) != 1 or given[0] is None:
            return False
        value = given[0]
    return True


def _rank(value: ir.Value) -> int | None:
    """How many axes a tensor has; behind what is done by entries as many as before it. None where nobody knows."""
    if (array := constant(value)) is not None:
        return array.ndim
    while value.shape is None:
        node = producer(value)
        given = node.inputs[0] if node is not None and node.op_type in BY_ENTRY - OF_TWO else None
        if given is None:
            return 2 if _is_product(value) else None
        value = given
    return len(value.shape)


def _wrap(graph: ir.Graph, node: ir.Node, axis: ir.Value) -> None:
    """Numbers, and rows of one axis, fit what has three axes as they are, as does a constant row of two."""
    for place, value in enumerate(node.inputs):
        array = constant(value)
        if value is not None and _rank(value) == 2 and (array is None or len(array) > 1):
            wide = ir.node("Unsqueeze", [value, axis])
            graph.insert_before(node, wide)
            node.replace_input_with(place, wide.outputs[0])
    out = node.outputs[0]
    insert_behind(graph, node, ir.node("Squeeze", [out, axis]))
    out.shape = None
