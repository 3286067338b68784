"""LSTMs as OpenVINO's int8 kernel wants to see them; those that it has not, in float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, constant, drop_unused, producer, replace
from edgekd.lower.passes._cells import BOTH_WAYS, GATES, Cells, cells_of, direction_of
from edgekd.lower.passes._rounded import restored
from edgekd.spec.target import STATE_SCALE

STATE_STEP = np.float32(STATE_SCALE)  # of codes around 128
MIDDLE = np.uint8(128)
QUANTIZE = "QuantizeLinear"
MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Identity")


@dataclass(frozen=True)
class Int8Lstm:
    """``LSTM(DQ(x), DQ(w), DQ(r))`` with input, state and weights on the grids that one kernel shares.

    The kernel takes one scale and zero point for input and state, the input's, and one scale for both matrices, that of
    the input's, and adds the products up as integers. Where ``recurrent = "shared"`` made the two products alike, the
    input is restored by the state's scale, which is known, and its weights by that of the state's weights: equal, and
    right. A first state of constants would not compile with a free batch; so its zeros are made of the input. Of 16
    inputs, 64 units and 32 steps: 0.78 of the float kernel's time, of 128 over 128 0.52, of 256 over 256 0.34; with
    AVX2 alone 1.2, and without it nothing compiles. For files of CPUs with AVX-512, in OpenVINO's own format.

    What is not so gets float weights: int8 ones that no kernel takes do not compile. So does one of the same sizes as
    another, and of other scales: 2026.4.1 builds one kernel for both.
    """

    def __call__(self, model: ir.Model) -> None:
        scales: dict[tuple[int, ...], NDArray[np.float32]] = {}
        for node in list(model.graph):
            cells = cells_of(node)
            if cells is None:
                continue
            of_size = scales.setdefault(cells.input.codes.shape[1:], cells.state.scales[0])
            plain = _given(node, 4) is None and all(_is_zero(_given(node, place)) for place in (5, 6))
            plain = plain and _is_batched(model.graph.inputs[0], node.inputs[0])
            right = plain and (cells.state.scales == of_size).all()
            sequence = _sequence(model.graph, node, cells) if right else None
            if sequence is None:
                for place, factor in enumerate(cells, 1):
                    weights = factor.codes * factor.scales[..., None]
                    node.replace_input_with(place, add_constant(model.graph, f"{node.name}_weights_{place}", weights))
            else:
                _in_int8(model.graph, node, cells, sequence)
        drop_unused(model.graph)


def _sequence(graph: ir.Graph, node: ir.Node, cells: Cells) -> ir.Value | None:
    """What an LSTM reads, restored by the state's scale; None where the products' scales are not one."""
    turned = producer(node.inputs[0])
    turned = turned if turned is not None and turned.op_type == "Transpose" else None
    source = node.inputs[0] if turned is None else turned.inputs[0]
    known, back = restored(source), producer(source)
    scale = np.asarray(STATE_STEP if known is None else known.scale)
    quantize = None if back is None or known is None else producer(back.inputs[0])
    codes = None
    if known is None:
        codes = _rounded(graph, node, source) if _is_state(source) else None
    elif known.zero.dtype == np.uint8 and known.zero == MIDDLE and back is not None:
        codes = back.inputs[0]
    elif known.zero.dtype == np.int8 and known.zero == 0 and quantize is not None and quantize.op_type == QUANTIZE:
        codes = _rounded(graph, node, quantize.inputs[0], quantize.inputs[1])
    if codes is None or not _adds_up(cells, scale):
        return None
    of_table = known is not None and quantize is not None and quantize.op_type != QUANTIZE
    sequence = (_spelled if of_table else _restored)(graph, node, codes)
    if turned is None:
        return sequence
    return _made(graph, node, "Transpose", [sequence], **{a.name: a.value for a in turned.attributes.values()})


def _adds_up(cells: Cells, scale: NDArray[np.float32]) -> bool:
    """Whether both products have one scale, of an input of this one, and a unit's gates have the same."""
    units = cells.state.scales.reshape(len(cells.state.scales), GATES, -1)
    alike = np.allclose(cells.input.scales * scale, cells.state.scales * STATE_STEP, rtol=1e-4, atol=0)
    return bool(alike and (units == units[:, :1]).all())


def _in_int8(graph: ir.Graph, node: ir.Node, cells: Cells, sequence: ir.Value) -> None:
    """Put one LSTM for each direction into the place of one, each forward.

    Of two that read one tensor, one backward, OpenVINO turns the axes for the first alone, and the other's answers are
    wrong from a batch of 2 on; so what goes backward reads and gives its steps in the other order.
    """
    both = direction_of(node) == BOTH_WAYS
    backward = (False, True) if both else (direction_of(node) == "reverse",)
    first, results = _zeros(graph, node, cells), []
    for i, turned in enumerate(backward):
        scale = add_constant(graph, f"{node.name}_scale_{i}", cells.state.scales[i])
        weights = [
            add_constant(graph, f"{node.name}_weights_{name}_{i}", factor.codes[i : i + 1])
            for name, factor in zip(("input", "state"), cells, strict=True)
        ]
        matrices = [_made(graph, node, "DequantizeLinear", [codes, scale], axis=1) for codes in weights]
        bias = _part(graph, node, _given(node, 3), i, both)
        x = _backward(graph, node, sequence) if turned else sequence
        attributes = {"hidden_size": node.attributes["hidden_size"]}
        new = ir.node("LSTM", [x, *matrices, bias, None, first], attributes, num_outputs=len(node.outputs))
        graph.insert_before(node, new)
        results.append([_backward(graph, node, new.outputs[0]) if turned else new.outputs[0], *new.outputs[1:]])
    for place, old in enumerate(node.outputs):
        parts = [result[place] for result in results]
        if old.uses() or old.is_graph_output():
            replace(old, _made(graph, node, "Concat", parts, axis=0 if place else 1) if both else parts[0])


def _backward(graph: ir.Graph, node: ir.Node, value: ir.Value) -> ir.Value:
    """Steps, which lie along the first axis, in the other order."""
    ends = {"last": [-1], "before_first": [-(2**31)], "steps_axis": [0], "back": [-1]}
    where = [_number(graph, f"{node.name}_{name}", np.array(n)) for name, n in ends.items()]
    return _made(graph, node, "Slice", [value, *where])


def _zeros(graph: ir.Graph, node: ir.Node, cells: Cells) -> ir.Value:
    """(1, N, H) zeros, rounded: of one number of each sample of the network's input, cut off at 0 from both sides.

    Of what the layer reads itself OpenVINO's kernel is not built in every case.
    """
    sample, size = graph.inputs[0], cells.state.codes.shape[2]
    lines = sample
    if sample.shape is None or len(sample.shape) != 2:  # else it is left out, and its name becomes one of the input's
        lines = _made(graph, node, "Reshape", [sample, _number(graph, f"{node.name}_lines", np.array([0, -1]))])
    ends = {"starts": [0], "ends": [1], "axes": [1]}
    where = [_number(graph, f"{node.name}_{name}", np.array(values)) for name, values in ends.items()]
    first = _made(graph, node, "Slice", [lines, *where])
    if sample.dtype != ir.DataType.FLOAT:
        first = _made(graph, node, "Cast", [first], to=ir.DataType.FLOAT)
    zero = _number(graph, f"{node.name}_zero", np.float32(0))
    wide = _number(graph, f"{node.name}_zeros", np.zeros((1, 1, size), np.float32))
    number = _made(graph, node, "Clip", [first, zero, zero])
    number = _made(graph, node, "Unsqueeze", [number, _number(graph, f"{node.name}_of_rows", np.array([2]))])
    zeros = _restored(graph, node, _rounded(graph, node, _made(graph, node, "Add", [number, wide])))
    return _made(graph, node, "Transpose", [zeros], perm=[1, 0, 2])


def _rounded(graph: ir.Graph, node: ir.Node, value: ir.Value | None, step: ir.Value | None = None) -> ir.Value:
    """Codes around 128, of states where no step is given."""
    of_state, middle = _grid(graph, node)
    return _made(graph, node, QUANTIZE, [value, step or of_state, middle])


def _restored(graph: ir.Graph, node: ir.Node, codes: ir.Value | None) -> ir.Value:
    return _made(graph, node, "DequantizeLinear", [codes, *_grid(graph, node)])


def _spelled(graph: ir.Graph, node: ir.Node, codes: ir.Value | None) -> ir.Value:
    """A DequantizeLinear in three operators: behind a table OpenVINO finds no constant in the zero point of one."""
    step = _grid(graph, node)[0]
    middle = _number(graph, f"{node.name}_middle_of_rows", np.float32(MIDDLE))
    numbers = _made(graph, node, "Cast", [codes], to=ir.DataType.FLOAT)
    return _made(graph, node, "Mul", [_made(graph, node, "Sub", [numbers, middle]), step])


def _grid(graph: ir.Graph, node: ir.Node) -> list[ir.Value]:
    return [_number(graph, f"{node.name}_{name}", n) for name, n in (("step", STATE_STEP), ("middle", MIDDLE))]


def _number(graph: ir.Graph, name: str, number: np.generic | NDArray[np.generic]) -> ir.Value:
    """A constant of no more axes than are given, the same for a name."""
    if name not in graph.initializers:
        array = np.asarray(number)
        tensor = ir.tensor(array, name=name)
        graph.register_initializer(
            ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        )
    return graph.initializers[name]


def _made(
    graph: ir.Graph, node: ir.Node, kind: str, inputs: Sequence[ir.Value | None], **attributes: object
) -> ir.Value:
    """What a new node before another one gives."""
    new = ir.node(kind, inputs, attributes)
    graph.insert_before(node, new)
    return new.outputs[0]


def _part(graph: ir.Graph, node: ir.Node, value: ir.Value | None, way: int, both: bool) -> ir.Value | None:
    """One direction's part of what lies by direction."""
    if value is None or not both:
        return value
    ends = {"starts": [way], "ends": [way + 1], "axes": [0]}
    return _made(
        graph,
        node,
        "Slice",
        [value, *(add_constant(graph, f"{value.name}_{key}_{way}", np.array(n)) for key, n in ends.items())],
    )


def _given(node: ir.Node, place: int) -> ir.Value | None:
    return node.inputs[place] if len(node.inputs) > place else None


def _is_zero(value: ir.Value | None) -> bool:
    """Whether a first state is nothing but zeros, by how it is made."""
    node, known = producer(value), constant(value)
    if value is None or known is not None:
        return value is None or not np.any(known)
    return node is not None and node.op_type in (*MOVES, "Expand") and _is_zero(node.inputs[0])


def _is_batched(sample: ir.Value, sequence: ir.Value | None) -> bool:
    """Whether a network's input has as many samples, by what shapes say, as a sequence (T, N, n)."""
    shapes = sample.shape, None if sequence is None else sequence.shape
    if _is_state(sequence) or shapes[0] is None or shapes[1] is None:
        return _is_state(sequence)
    return len(shapes[0]) > 1 and shapes[0][0] == shapes[1][1]


def _is_state(value: ir.Value | None) -> bool:
    """Whether a tensor is states of an LSTM, as another one reads them."""
    node = producer(value)
    if node is None or node.op_type == "LSTM":
        return node is not None and value in node.outputs[:2]
    return node.op_type in (*MOVES, "Concat") and all(
        _is_state(part) for part in (node.inputs if node.op_type == "Concat" else node.inputs[:1])
    )
