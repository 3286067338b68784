"""A shape whose sizes are those of what is reshaped says so, for ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, producer, same_size

COPIED, REST = 0, -1  # sizes that Reshape knows by itself


@dataclass(frozen=True)
class CopiedSizes:
    """``Reshape(x, Concat(Shape(a)[0], Shape(a)[1], -1))`` -> ``Reshape(x, [0, 0, -1])``, where x has these sizes of a.

    So attention of a free length cuts its heads apart and joins them. ONNX Runtime 1.31 does the same where a is x
    itself; the exporter reads all sizes from the input of the graph. Three operators of 88 of a BERT of two layers.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in [node for node in model.graph if node.op_type == "Reshape"]:
            x, shape = node.inputs[0], producer(node.inputs[1])
            sizes = None if x is None or shape is None or shape.op_type != "Concat" else _sizes(x, shape)
            if sizes is not None:
                node.attributes.pop("allowzero", None)
                node.replace_input_with(1, add_constant(model.graph, f"{node.name}_sizes", np.array(sizes, np.int64)))
        drop_unused(model.graph)


def _sizes(x: ir.Value, shape: ir.Node) -> list[int] | None:
    """What a constant shape says in place of this one; None where some size is not that of x at its place."""
    sizes: list[int] = []
    for place, part in enumerate(shape.inputs):
        array = constant(part)
        if array is None:
            if not _is_size_at(x, place, part):
                return None
            sizes.append(COPIED)
        elif array.size != 1 or array.flat[0] == 0:
            return None
        else:
            sizes.append(int(array.flat[0]))
    return sizes if sizes.count(REST) < 2 else None


def _is_size_at(x: ir.Value, place: int, part: ir.Value | None) -> bool:
    """Whether a value is one size, read from some value's shape, that x is known to have at a place."""
    read = producer(part)
    if read is None or read.op_type != "Shape" or x.shape is None or place >= len(x.shape):
        return False
    of = read.inputs[0]
    if of is None or of.shape is None:
        return False
    start, stop = attribute_int(read, "start", 0), attribute_int(read, "end", len(of.shape))
    if start < 0 or stop != start + 1 or stop > len(of.shape):
        return False
    return same_size(x.shape[place], of.shape[start])
