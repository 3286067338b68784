"""A table's row that every place looks up is a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, producer, same_size

# What gives no number that its first input does not hold.
MOVES = (
    *("Expand", "Flatten", "Gather", "GatherElements", "Identity", "Reshape"),
    *("Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
)


@dataclass(frozen=True)
class ConstantRow:
    """``Add(x, Gather(table, i))`` where i is one number everywhere, and x is as large -> ``Add(x, row)``.

    So the transformers library's BERT adds the vector of a text's first part: the numbers of parts, all zero, are cut
    to the text's length, gathered, and spread over the batch. Five operators of the 82 of an int8 BERT of two layers.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in [node for node in model.graph if node.op_type == "Gather"]:
            out = node.outputs[0]
            added = [(add, place) for add, place in out.uses() if add.op_type == "Add"]
            added = [(add, place) for add, place in added if _same_shape(add.inputs[1 - place], out)]
            row = _row(node) if added else None
            if row is None:
                continue
            value = add_constant(model.graph, f"{out.name}_row", row)
            for add, place in added:
                add.replace_input_with(place, value)
        drop_unused(model.graph)


def _row(gather: ir.Node) -> NDArray[np.generic] | None:
    """(D,): what a lookup of one row gives everywhere; None where the table is no constant, or the rows are many.

    The table is of floats, or of 8 bits with one scale.
    """
    index = _filled(gather.inputs[1])
    if index is None or attribute_int(gather, "axis", 0) != 0:
        return None
    dq = producer(gather.inputs[0])
    table = constant(gather.inputs[0] if dq is None else dq.inputs[0])
    if table is None or table.ndim != 2:
        return None
    if dq is None:
        return table[index] if table.dtype == np.float32 else None
    return _restored(table[index], dq) if dq.op_type == "DequantizeLinear" else None


def _restored(codes: NDArray[np.generic], dq: ir.Node) -> NDArray[np.float32] | None:
    """What codes of one scale stand for."""
    scale, *zeros = (constant(one) for one in dq.inputs[1:])
    zero = zeros[0] if zeros else np.int32(0)
    if scale is None or zero is None or scale.size != 1 or scale.dtype != np.float32:
        return None
    return (codes.astype(np.int32) - zero.reshape(-1)[0].astype(np.int32)).astype(np.float32) * scale.reshape(-1)[0]


def _filled(value: ir.Value | None) -> int | None:
    """The number that all entries of a value are; None where they may differ."""
    node = producer(value)
    if node is None:
        array = constant(value)
        return None if array is None or not array.size or (array != array.flat[0]).any() else int(array.flat[0])
    if node.op_type == "ConstantOfShape":
        array = node.attributes["value"].as_tensor().numpy() if "value" in node.attributes else np.zeros(1, np.int64)
        return int(array.flat[0])
    return _filled(node.inputs[0]) if node.op_type in MOVES else None


def _same_shape(one: ir.Value | None, other: ir.Value) -> bool:
    """Whether two values are known to be of one shape, so that neither is spread over the other."""
    if one is None or one.shape is None or other.shape is None or len(one.shape) != len(other.shape):
        return False
    return all(map(same_size, one.shape, other.shape))
