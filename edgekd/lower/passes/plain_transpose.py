"""The last two of four axes change places in one operator."""

from __future__ import annotations

from dataclasses import dataclass

from onnxscript import ir

from edgekd.lower.passes._base import attribute_int, constant, drop_unused, producer, replace

Cut = tuple[int, int | None]  # which sizes of a tensor: from where to where


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
    x, behind = before.inputs[0], readers[0]
    if x is None or x.shape is None or len(x.shape) != 4 or behind.inputs[0] is not node.outputs[0]:
        return
    if not (_known(x, before.outputs[0], behind.outputs[0]) or _computed(x, before, behind)):
        return
    turn = ir.node("Transpose", [x], attributes={"perm": [0, 1, 3, 2]})
    graph.insert_before(node, turn)
    replace(behind.outputs[0], turn.outputs[0])


def _known(x: ir.Value, rows: ir.Value, out: ir.Value) -> bool:
    """Whether the shapes say that the first two axes became one, and no others, and are two again."""
    sizes, matrix, turned = ([str(size) for size in value.shape or ()] for value in (x, rows, out))
    if any("None" in size for size in (*sizes, *matrix, *turned)):
        return False
    return matrix[1:] == sizes[2:] and turned == [*sizes[:2], sizes[3], sizes[2]]


def _computed(x: ir.Value, before: ir.Node, behind: ir.Node) -> bool:
    """Whether the sizes are put together so from the tensor's own, as the exporter does."""
    matrices, turned = _joined(before.inputs[1], x), _joined(behind.inputs[1], x)
    return matrices == [-1, (-2, -1), (-1, None)] and turned == [(0, -2), (-1, None), (-2, -1)]


def _joined(sizes: ir.Value | None, x: ir.Value) -> list[Cut | int] | None:
    """What a Concat puts together: sizes of a tensor, and numbers; None where it holds anything else."""
    joined = producer(sizes)
    parts: list[Cut | int] = []
    for value in joined.inputs if joined is not None and joined.op_type == "Concat" else ():
        number = constant(value)
        cut = _cut(producer(value), x) if number is None else int(number.reshape(-1)[0]) if number.size == 1 else None
        if cut is None:
            return None
        parts.append(cut)
    return parts


def _cut(cut: ir.Node | None, x: ir.Value) -> Cut | None:
    shape = producer(cut.inputs[0]) if cut is not None and cut.op_type == "Slice" and len(cut.inputs) < 5 else None
    if cut is None or shape is None or shape.op_type != "Shape" or shape.inputs[0] is not x:
        return None
    start, end = constant(cut.inputs[1]), constant(cut.inputs[2])
    if start is None or end is None or attribute_int(shape, "start", 0) or "end" in shape.attributes:
        return None
    first, last, rank = int(start.reshape(())), int(end.reshape(())), len(x.shape or ())
    return 0 if first <= -rank else first, None if last >= rank else last
