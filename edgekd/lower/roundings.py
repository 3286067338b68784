"""The roundings of a traced int8 network: who reads what through them, and the network without some of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from onnxscript import ir

from edgekd.base.errors import ExportError
from edgekd.lower.column import rewrite
from edgekd.lower.passes import add_constant, attribute_int, constant, drop_unused, producer
from edgekd.spec.mixed import Read, Unit, weight_number

ROUNDING = ("QuantizeLinear", "DequantizeLinear")
# What sums, of so many of its inputs: integers, where all of these are restored from 8 bits.
SUMMED = {**dict.fromkeys(("Conv", "ConvTranspose", "MatMul", "Gemm"), 2), "ReduceMean": 1, "ReduceSum": 1}
APPROXIMATED = (
    *("Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization"),
    *("ReduceL2", "Gelu", "Erf", "Tanh", "Exp", "LSTM", "GRU", "RNN"),
)
MOVING = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Pad", "Identity")
FREE = 16  # what an axis of any size but the batch counts as


def activations(model: ir.Model) -> list[ir.Node]:
    """The nodes that round activations, in order: a rounding's number is its place here."""
    return [node for node in model.graph if node.op_type == "QuantizeLinear"]


def every(model: ir.Model) -> range:
    """The numbers of all roundings of activations."""
    return range(len(activations(model)))


def weights(model: ir.Model) -> dict[int, ir.Node]:
    """The nodes that restore rounded weights, by the number of these."""
    numbered = {}
    for node in model.graph:
        name = node.inputs[0].name if node.op_type == "DequantizeLinear" and node.inputs[0] is not None else None
        if (number := weight_number(name or "")) is not None:
            numbered[number] = node
    return numbered


def units(model: ir.Model) -> list[Unit]:
    """The nodes of a trace that are no roundings, in order; each is called as its first output."""
    numbers = {node: number for number, node in enumerate(activations(model))}
    of_weights = {node: number for number, node in weights(model).items()}
    rows = []
    for node in model.graph:
        if node.op_type in ROUNDING or not node.outputs:
            continue
        makers = [producer(value) for value in node.inputs]
        restored = [of_weights[maker] for maker in makers if maker is not None and maker in of_weights]
        reads = [
            _read(value, numbers)
            for value, maker in zip(node.inputs, makers, strict=True)
            if value is not None and value.const_value is None and maker not in of_weights
        ]
        out = node.outputs[0]
        rows.append(Unit(out.name or "", node.op_type, tuple(reads), tuple(restored), _elements(out)))
    return rows


def without(model: ir.Model, dropped: Collection[int], plain: Collection[int]) -> ir.Model:
    """A copy of a trace in which these activations, and these weights, are not rounded.

    The weights keep the values that they were rounded to.
    """
    copy = model.clone()
    of_weights = weights(copy)
    for number, quantize in enumerate(activations(copy)):
        source = quantize.inputs[0]
        if number in dropped and source is not None:
            for use in list(quantize.outputs[0].uses()):
                use.node.outputs[0].replace_all_uses_with(source, replace_graph_outputs=True)
    for number in plain:
        _restore(copy.graph, of_weights[number])
    drop_unused(copy.graph)
    return copy


def rewritten(model: ir.Model, asked: Sequence[str]) -> tuple[ir.Model, dict[str, str]]:
    """What the column makes of a copy of a trace, and by the name of a node or output in the file which unit that was.

    The last pass gives short names and keeps the order: behind each pass the names are written down. A node that a pass
    made is of the unit that reads it.

    Raises:
        ExportError: a user's pass changes nodes behind the names. As of ``rewrite``.
    """
    copy, snapshots = model.clone(), []
    known = {unit.name for unit in units(model)}

    def keep(so_far: ir.Model) -> None:
        snapshots.append([value.name or "" for node in so_far.graph for value in node.outputs])

    rewrite(copy, asked, keep)
    if len(snapshots[-1]) != len(snapshots[-2]):
        raise ExportError("the last graph pass does more than name nodes", where="mixed precision")
    before = dict(zip(snapshots[-1], snapshots[-2], strict=True))
    owners: dict[ir.Node, str] = {}
    for node in reversed(copy.graph):
        name = before.get(node.outputs[0].name or "", "") if node.outputs else ""
        readers = (owners[use.node] for value in node.outputs for use in value.uses() if use.node in owners)
        if owner := name if name in known else next(readers, ""):
            owners[node] = owner
    computing = [node for node in copy.graph if node in owners and node.op_type not in ROUNDING]
    return copy, {name or "": owners[node] for node in computing for name in (node.name, node.outputs[0].name)}


def rounds_float_sums(model: ir.Model) -> bool:
    """Whether the network rounds what is summed or approximated in float.

    CPUs add floats in their own order: such a number may fall on the other side of a step. A network that only sums
    integers before it rounds answers alike on all of them.
    """
    seen: set[ir.Node] = set()
    for quantize in activations(model):
        values = [quantize.inputs[0]]
        while values:
            node = producer(values.pop())
            if node is None or node in seen or node.op_type == "DequantizeLinear":
                continue
            summed = node.inputs[: SUMMED.get(node.op_type, 0)]
            if node.op_type in APPROXIMATED or not all(map(_is_restored, summed)):
                return True
            seen.add(node)
            values += node.inputs
    return False


def _is_restored(value: ir.Value | None) -> bool:
    """Whether a value was rounded, and only moved since; of what is put together, every part."""
    node = producer(value)
    while node is not None and node.op_type in MOVING:
        node = producer(node.inputs[0])
    if node is not None and node.op_type == "Concat":
        return all(map(_is_restored, node.inputs))
    return node is not None and node.op_type == "DequantizeLinear"


def scales(model: ir.Model) -> list[float | None]:
    """Of each rounding of an activation its scale; None where that is none of the whole tensor's."""
    arrays = [constant(node.inputs[1]) for node in activations(model)]
    return [float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None for array in arrays]


def _read(value: ir.Value, numbers: Mapping[ir.Node, int]) -> Read:
    between: list[int] = []
    node = producer(value)
    while node is not None and node.op_type in ROUNDING:
        if node in numbers:
            between.insert(0, numbers[node])
        node = producer(node.inputs[0])
    return Read(None if node is None else node.outputs[0].name, tuple(between))


def _elements(value: ir.Value) -> int:
    sizes = [] if value.shape is None else list(value.shape)[1:]
    return math.prod(size if isinstance(size, int) else FREE for size in sizes)


def _restore(graph: ir.Graph, node: ir.Node) -> None:
    """Put floats in the place of a constant's DequantizeLinear."""
    rounded, scale = constant(node.inputs[0]), constant(node.inputs[1])
    if rounded is None or scale is None:
        return
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    axis = attribute_int(node, "axis", 1) % max(rounded.ndim, 1)
    shape = [-1 if i == axis else 1 for i in range(rounded.ndim)] if scale.size > 1 else [1] * rounded.ndim
    offset = np.zeros(shape, np.float32) if zero is None else zero.astype(np.float32).reshape(shape)
    plain = (rounded.astype(np.float32) - offset) * scale.astype(np.float32).reshape(shape)
    node.outputs[0].replace_all_uses_with(add_constant(graph, f"{node.outputs[0].name}_plain", plain))
