"""Fourier transforms in products and convolutions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from onnxscript import ir

from edgekd.lower.passes._base import add_constant, attribute_int, constant, drop_unused, producer, replace

Suits = Callable[[int | None], bool]


def in_products(model: ir.Model, suits: Suits) -> None:
    """``DFT`` -> a MatMul with cosines and sines; ``STFT`` -> a Conv with them, times the window.

    The file stays small: cosines are computed in the graph, where sizes are fixed once when it is opened.

    Args:
        suits: told how many entries are transformed together, None where that is only known when the graph runs.
    """
    waves = _Waves(model.graph)
    for node in list(model.graph):
        if node.op_type == "DFT":
            _product(waves, node, suits, 1 if model.opset_imports.get("", 0) < 20 else -2)
        elif node.op_type == "STFT":
            _convolution(waves, node, suits)
    drop_unused(model.graph)


def is_long(length: int) -> bool:
    """Whether a fast transform of so many entries beats a product with a matrix: powers of two from 1024 on."""
    return length >= 1024 and length & (length - 1) == 0


@dataclass
class _Waves:
    """The matrices of a graph: each is made once, before the node that needs it first."""

    graph: ir.Graph
    matrices: dict[tuple[str, bool], tuple[ir.Value, ir.Value]] = field(default_factory=dict)

    def __call__(self, node: ir.Node, length: ir.Value, key: str, half: bool) -> tuple[ir.Value, ir.Value]:
        """Cosines and sines of 2 pi j k / n, (n, frequencies) each; ``length`` is n as (1,) int64."""
        if (key, half) not in self.matrices:
            self.matrices[key, half] = self._compute(node, length, half)
        return self.matrices[key, half]

    def _compute(self, node: ir.Node, length: ir.Value, half: bool) -> tuple[ir.Value, ir.Value]:
        add = self.adder(node)
        count, zero, one = (
            add("Squeeze", each) for each in (length, self.integers("zero", 0), self.integers("one", 1))
        )
        times = frequencies = add("Range", zero, count, one)
        if half:
            last = add("Squeeze", add("Div", length, self.integers("two", 2)))
            frequencies = add("Range", zero, add("Add", last, one), one)
        turns = add("Mul", add("Unsqueeze", times, self.integers("last", -1)), frequencies)
        # In whole numbers, and of one turn: float32 has no more than 24 bits for both.
        part = add("Cast", add("Mod", turns, count), to=ir.DataType.FLOAT)
        circle = add_constant(self.graph, f"{node.name}_circle", np.array(2 * math.pi, np.float32))
        angle = add("Mul", add("Div", part, add("Cast", count, to=ir.DataType.FLOAT)), circle)
        return add("Cos", angle), add("Sin", angle)

    def adder(self, node: ir.Node) -> Callable[..., ir.Value]:
        """What puts an operator before a node and gives its value."""

        def add(kind: str, *inputs: ir.Value, **attributes: object) -> ir.Value:
            new = ir.node(kind, list(inputs), attributes)
            self.graph.insert_before(node, new)
            return new.outputs[0]

        return add

    def integers(self, name: str, *values: int) -> ir.Value:
        """A constant of so many entries."""
        names = (f"fourier_{name}_{i}" for i in itertools.count())
        unused = next(name for name in names if name not in self.graph.initializers)
        return add_constant(self.graph, unused, np.array(values, np.int64))


class _Transform(NamedTuple):
    """What a DFT is asked for: entries along an axis, ``length`` of them where that is known beforehand."""

    axis: int
    length: int | None
    inverse: bool
    half: bool


def _transform(node: ir.Node, usual_axis: int) -> _Transform | None:
    """None where entries are cut off or filled up, which the exporter does before; or where too little is known."""
    x = node.inputs[0]
    given = [node.inputs[place] if len(node.inputs) > place else None for place in (1, 2)]
    asked, axes = map(constant, given)
    computed = any(value is not None and constant(value) is None for value in given)
    if x is None or x.shape is None or x.shape[-1] not in (1, 2) or computed:
        return None
    axis = attribute_int(node, "axis", usual_axis) if axes is None else int(axes.reshape(-1)[0])
    size = x.shape[axis]
    length = int(asked.reshape(-1)[0]) if asked is not None else size if isinstance(size, int) else None
    inverse, half = (bool(attribute_int(node, name, 0)) for name in ("inverse", "onesided"))
    if inverse and half:
        suits = length is not None and size == length // 2 + 1 and x.shape[-1] == 2
    else:
        suits = size == length or asked is None
    return _Transform(axis % len(x.shape), length, inverse, half) if suits else None


def _product(waves: _Waves, node: ir.Node, suits: Suits, usual_axis: int) -> None:
    """Of (.., n, .., c) entries, real (c = 1) or complex (2), along an axis: (.., c n) @ (c n, c' m)."""
    x, asked = node.inputs[0], _transform(node, usual_axis)
    if x is None or x.shape is None or not _is_float(x) or asked is None or not suits(asked.length):
        return
    rank, size = len(x.shape), x.shape[asked.axis]
    x = x if asked.inverse else _real(x)
    add = waves.adder(node)
    if asked.length is None:
        count, key = add("Shape", x, start=asked.axis, end=asked.axis + 1), str(size or node.name)
    else:
        count, key = waves.integers("length", asked.length), str(asked.length)
    cosines, sines = waves(node, count, key, asked.half)
    if asked.inverse and asked.half and asked.length is not None:
        matrix = _of_half(waves, node, asked.length, (cosines, sines))
    else:
        ahead, behind = (sines, add("Neg", sines)) if asked.inverse else (add("Neg", sines), sines)
        matrix = add("Concat", cosines, ahead, axis=1)
        if x.shape is None or x.shape[-1] != 1:
            matrix = add("Concat", matrix, add("Concat", behind, cosines, axis=1), axis=0)
    if asked.inverse:
        matrix = add("Div", matrix, add("Cast", count, to=ir.DataType.FLOAT))
    place = [*(i for i in range(rank - 1) if i != asked.axis), rank - 1, asked.axis]
    keep = [0] * (rank - 2)
    rows = add("Reshape", add("Transpose", x, perm=place), waves.integers("rows", *keep, -1))
    parts = waves.integers("parts", *keep, 1 if asked.inverse and asked.half else 2, -1)
    entries = add("Reshape", add("MatMul", rows, matrix), parts)
    replace(node.outputs[0], add("Transpose", entries, perm=[place.index(i) for i in range(rank)]))
    waves.graph.remove(node, safe=True)


def _is_float(x: ir.Value) -> bool:
    """Whether a tensor has the type of the cosines and sines, as one has of which nothing is known."""
    return x.dtype in (None, ir.DataType.FLOAT)


def _of_half(waves: _Waves, node: ir.Node, length: int, parts: tuple[ir.Value, ir.Value]) -> ir.Value:
    """(2 m, n) real entries of the first m frequencies: but for the first, and n / 2, each stands for two."""
    add = waves.adder(node)
    times = np.full(length // 2 + 1, 2, np.float32)
    times[0] = 1
    if length % 2 == 0:
        times[-1] = 1
    doubled = add_constant(waves.graph, f"{node.name}_doubled", times)
    cosines, sines = (add("Transpose", add("Mul", part, doubled), perm=[1, 0]) for part in parts)
    return add("Concat", cosines, add("Neg", sines), axis=0)


def _real(x: ir.Value) -> ir.Value:
    """(.., 1) of complex entries (.., 2) whose imaginary parts are all zero, as the exporter makes them; else ``x``."""
    joined = producer(x)
    if joined is None or joined.op_type != "Concat" or len(joined.inputs) != 2:
        return x
    real, filled = joined.inputs[0], producer(joined.inputs[1])
    value = constant(filled.inputs[0]) if filled is not None and filled.op_type == "Expand" else None
    is_real = real is not None and real.shape is not None and real.shape[-1] == 1
    return real if is_real and real is not None and value is not None and not np.any(value) else x


def _convolution(waves: _Waves, node: ir.Node, suits: Suits) -> None:
    """Of (N, samples, 1): (N, 1, samples) by frames of (2 m, 1, n) at each step, to (N, frames, m, 2)."""
    x, step = node.inputs[0], constant(node.inputs[1])
    window = node.inputs[2] if len(node.inputs) > 2 else None
    given = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    weights = constant(window)
    size = int(given.reshape(-1)[0]) if given is not None else 0 if weights is None else weights.size
    if x is None or x.shape is None or len(x.shape) != 3 or x.shape[-1] != 1 or not _is_float(x):
        return
    if step is None or size == 0 or not suits(size):
        return
    if window is not None and (weights is None or weights.size != size):
        return
    half = bool(attribute_int(node, "onesided", 1))
    add = waves.adder(node)
    cosines, sines = waves(node, waves.integers("length", size), str(size), half)
    frames = add("Transpose", add("Concat", cosines, add("Neg", sines), axis=1), perm=[1, 0])
    if window is not None:
        frames = add("Mul", frames, window)
    kernel = add("Unsqueeze", frames, waves.integers("channel", 1))
    signal = add("Transpose", x, perm=[0, 2, 1])
    shape = {"kernel_shape": [size], "strides": [int(step.reshape(-1)[0])]}
    parts = waves.integers("parts", 0, 2, size // 2 + 1 if half else size, -1)
    pairs = add("Reshape", add("Conv", signal, kernel, **shape), parts)
    replace(node.outputs[0], add("Transpose", pairs, perm=[0, 3, 2, 1]))
    waves.graph.remove(node, safe=True)
