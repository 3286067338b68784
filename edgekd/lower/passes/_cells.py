"""The matrices of an LSTM whose weights are int8: what passes ask of one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from edgekd.lower.passes._base import attribute_int, constant, int8_matrix, producer

GATES = 4
PLAIN = ("direction", "hidden_size")  # attributes that every operator of an LSTM has
ABSENT = ("layout", "input_forget")  # as they are where they are not said: 0
BOTH_WAYS = "bidirectional"


class Factor(NamedTuple):
    """A matrix for each direction: (D, 4H, n) int8 codes in ONNX's order of gates, (D, 4H) scales."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]


class Cells(NamedTuple):
    """What an LSTM multiplies its input by, and its state."""

    input: Factor
    state: Factor


def cells_of(node: ir.Node) -> Cells | None:
    """The int8 weights of an LSTM of the usual activations; None for any other node, or floats."""
    if node.op_type != "LSTM" or node.domain or not set(node.attributes) <= {*PLAIN, *ABSENT}:
        return None
    if any(attribute_int(node, name, 0) for name in ABSENT) or any(value is not None for value in node.inputs[7:]):
        return None
    factors = [_factor(value) for value in node.inputs[1:3]]
    return None if factors[0] is None or factors[1] is None else Cells(factors[0], factors[1])


def direction_of(node: ir.Node) -> str:
    """``forward``, ``reverse`` or ``bidirectional``."""
    attribute = node.attributes.get("direction")
    return "forward" if attribute is None else attribute.as_string()


def _factor(value: ir.Value | None) -> Factor | None:
    moved = _moved(value)
    if moved is None or moved[0].ndim != 3 or (moved[1] != moved[1][..., :1]).any():
        return None
    return Factor(np.ascontiguousarray(moved[0]), np.ascontiguousarray(moved[1][..., 0]))


def _moved(value: ir.Value | None) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """Codes and scales, entry by entry, of an int8 matrix that was cut and put together in another order.

    The exporter writes the gates in ONNX's order so, behind what restores the matrix.
    """
    node = producer(value)
    if node is None:
        return None
    if node.op_type == "DequantizeLinear":
        matrix = int8_matrix(value, axis=0)
        if matrix is None:
            return None
        codes, scales = matrix[0].astype(np.int8), matrix[1].astype(np.float32)
        return codes, np.broadcast_to(scales.reshape(-1, *[1] * (codes.ndim - 1)), codes.shape)
    parts = [_moved(part) for part in (node.inputs if node.op_type == "Concat" else node.inputs[:1])]
    known = [part for part in parts if part is not None]
    rest = [array for arg in node.inputs[1:] if (array := constant(arg)) is not None]
    if node.op_type == "Concat" and len(known) == len(parts):
        axis = node.attributes["axis"].as_int()
        return np.concatenate([part[0] for part in known], axis), np.concatenate([part[1] for part in known], axis)
    if node.op_type in ("Slice", "Unsqueeze") and known and len(rest) == len(node.inputs) - 1:
        places = _places(node.op_type, known[0][0].shape, [np.atleast_1d(array) for array in rest])
        return known[0][0].reshape(-1)[places], known[0][1].reshape(-1)[places]
    return None


def _places(kind: str, shape: tuple[int, ...], rest: list[NDArray[np.generic]]) -> NDArray[np.int64]:
    """Where what ``Slice`` or ``Unsqueeze`` with these constants gives stood before, counted through."""
    array = np.arange(math.prod(shape)).reshape(shape)
    if kind == "Unsqueeze":
        return np.expand_dims(array, tuple(int(axis) for axis in rest[0]))
    starts, ends = rest[:2]
    axes = rest[2] if len(rest) > 2 else np.arange(len(starts))
    steps = rest[3] if len(rest) > 3 else np.ones(len(starts), np.int64)
    cut = [slice(None)] * array.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cut[int(axis)] = slice(int(start), int(end), int(step))
    return array[tuple(cut)]
