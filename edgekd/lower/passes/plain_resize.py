"""A Resize by fixed factors says the factors, and computes no sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, constant, drop_unused

TRIES = 4  # floats, one after another, of which one times a size gives the other


@dataclass(frozen=True)
class PlainResize:
    """``Resize(x, sizes = Concat(Shape(x)...))`` -> ``Resize(x, scales)`` where only the batch is free.

    ``interpolate(x, size=y.shape[-2:])`` is exported with the operators that work the sizes out, in every run. Only
    where each factor is a whole number, or one over it: others are rounded. So are some of the latter, and of 41 times
    the float that is next to 1/41 nothing would be left: it is the next float then.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Resize" and len(node.inputs) == 4 and constant(node.inputs[3]) is None:
                _fix(model.graph, node)
        drop_unused(model.graph)


def _fix(graph: ir.Graph, node: ir.Node) -> None:
    x, out = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or out.shape is None or node.inputs[3] is None or "axes" in node.attributes:
        return
    scales = [1.0]
    for before, after in zip(list(x.shape)[1:], list(out.shape)[1:], strict=True):
        if not isinstance(before, int) or not isinstance(after, int) or (after % before and before % after):
            return
        if (scale := _scale(before, after)) is None:
            return
        scales.append(scale)
    node.replace_input_with(2, add_constant(graph, f"{node.name}_scales", np.array(scales, np.float32)))
    node.resize_inputs(3)


def _scale(before: int, after: int) -> float | None:
    """The first float from the factor on that gives the size again, multiplied and cut off; None where none does."""
    scale = np.float32(after / before)
    for _ in range(TRIES):
        if int(scale * np.float32(before)) >= after:
            break
        scale = np.nextafter(scale, np.float32(np.inf))
    return float(scale) if int(scale * np.float32(before)) == after else None
