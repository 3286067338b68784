"""What a graph pass is, and the few helpers that passes share."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir


class GraphPass(Protocol):
    """One file of ``lower/passes/``: a frozen dataclass. It changes a model in place; a second run changes nothing.

    When it runs stands in ``lower/column.py``. A user's own is a ``CustomPass``.
    """

    def __call__(self, model: ir.Model) -> None:
        """Rewrite the graph."""


class CustomPass(GraphPass, Protocol):
    """A user's own, which runs for targets that name it.

    ``order`` says when, among those of ``lower/column.py``: structure (10..), quantization (18..), size (40..), names
    (70..).
    """

    order: ClassVar[float]


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array of an initializer, or None for anything else."""
    if value is None or value.const_value is None or value.producer() is not None:
        return None
    return value.const_value.numpy()


def add_constant(graph: ir.Graph, name: str, array: NDArray[np.generic]) -> ir.Value:
    """A new initializer; a scalar becomes one entry."""
    entries = np.ascontiguousarray(array)
    tensor = ir.tensor(entries, name=name)
    value = ir.Value(name=name, shape=ir.Shape(entries.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def replace(old: ir.Value, new: ir.Value) -> None:
    """Whoever reads ``old`` reads ``new``, which takes its name, shape and type: an output of the graph keeps them."""
    new.name, new.shape, new.type = old.name, old.shape, old.type
    old.name = f"{old.name}_replaced"
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def insert_behind(graph: ir.Graph, node: ir.Node, new: ir.Node) -> None:
    """Put a node behind another whose output is its first input: whoever read that reads what the new one gives."""
    out = node.outputs[0]
    graph.insert_after(node, new)
    replace(out, new.outputs[0])
    new.replace_input_with(0, out)


def drop_unused(graph: ir.Graph) -> None:
    """Remove nodes and initializers that nothing reads."""
    changed = True
    while changed:
        changed = False
        for node in reversed(list(graph)):
            if not any(out.uses() or out.is_graph_output() for out in node.outputs):
                graph.remove(node, safe=True)
                changed = True
    for name in [n for n, v in graph.initializers.items() if not v.uses() and not v.is_graph_output()]:
        del graph.initializers[name]


def attribute_int(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute, or the operator's default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.as_int())


def same_size(one: object, other: object) -> bool:
    """Whether two sizes of shapes are known to be equal: of one name, or one number."""
    return one == other and getattr(one, "value", one) is not None


def producer(value: ir.Value | None) -> ir.Node | None:
    """The node that gives a value; None for an input or a constant."""
    return None if value is None else value.producer()


def weight_dq(value: ir.Value | None, axis: int = 0) -> ir.Node | None:
    """The DequantizeLinear of a constant int8 matrix, per tensor or with a scale for each entry of ``axis``."""
    return None if int8_matrix(value, axis) is None else producer(value)


def int8_matrix(value: ir.Value | None, axis: int = 0) -> tuple[NDArray[np.generic], NDArray[np.generic]] | None:
    """Weight and scale of a constant int8 matrix, per tensor or with a scale for each entry of ``axis``."""
    dq = producer(value)
    if dq is None or dq.op_type != "DequantizeLinear":
        return None
    weight, scale = constant(dq.inputs[0]), constant(dq.inputs[1])
    if weight is None or weight.dtype != np.int8 or scale is None:
        return None
    return (weight, scale) if scale.ndim == 0 or attribute_int(dq, "axis", 1) == axis else None
