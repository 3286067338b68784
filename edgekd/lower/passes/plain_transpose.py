"""The last two of four axes change places in one operator."""

from __future__ import annotations

from dataclasses import dataclass

from onnxscript import ir

from edgekd.lower.passes._base import attribute_int, constant, drop_unused, producer, replace


@dataclass(frozen=True)
class PlainTranspose:
    """``Reshape -> Transpose(0, 2, 1) -> Reshape`` -> ``Transpose(0, 1, 3, 2)``.

    So is the key of ``scaled_dot_product_attention`` exported, with five more operators that work out the shapes: for a
    small transformer a tenth of its time.
    """

    def __call__(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type == "Transpose" and list(node.attributes["perm"].as_ints()) == [0, 2, 1]:
                _one(model.graph, node)
        drop_unused(model.graph)


def _one(graph: ir.Graph, node: ir.Node) -> None:
    before, readers = producer(node.inputs[0]), [use.node for use in node.outputs[0].uses()]
    if before is None or before.op_type != "Reshape" or len(readers) != 1 or readers[0].op_type != "Reshape":
        return
    x, out = before.inputs[0], readers[0].outputs[0]
    if x is None or x.shape is None or len(x.shape) != 4 or readers[0].inputs[0] is not node.outputs[0]:
        return
    if _slices(producer(readers[0].inputs[1]), x) != [(0, -2), (-1, None), (-2, -1)]:
        return
    turn = ir.node("Transpose", [x], attributes={"perm": [0, 1, 3, 2]})
    graph.insert_before(node, turn)
    replace(out, turn.outputs[0])


def _slices(joined: ir.Node | None, x: ir.Value) -> list[tuple[int, int | None]]:
    """Which sizes of a tensor a Concat puts together: from where to where; nothing where it holds anything else."""
    slices: list[tuple[int, int | None]] = []
    for value in joined.inputs if joined is not None and joined.op_type == "Concat" else ():
        cut = producer(value)
        shape = producer(cut.inputs[0]) if cut is not None and cut.op_type == "Slice" else None
        if cut is None or shape is None or shape.op_type != "Shape" or shape.inputs[0] is not x:
            return []
        start, end = constant(cut.inputs[1]), constant(cut.inputs[2])
        if start is None or end is None:
            return []
        first, last, rank = int(start.reshape(())), int(end.reshape(())), len(x.shape or ())
        whole = attribute_int(shape, "start", 0) == 0 and "end" not in shape.attributes
        slices.append((0 if first <= -rank and whole else first, None if last >= rank else last))
    return slices
