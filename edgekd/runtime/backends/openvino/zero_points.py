"""Rounded numbers that begin at zero where that is exact: OpenVINO's int8 kernels pay for zero points."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Model = Any  # ``openvino.Model``, or a node of one
MIDDLE = 0.02  # of a range's negative end, by which the positive one may differ from the middle's 127 / 128 of it


class Product(NamedTuple):
    """What multiplies a tensor by int8 weights: its bias, and the weights' sums in the bias' shape."""

    bias: Model
    sums: NDArray[np.float64]


def start_at_zero(model: Model, opset: ModuleType) -> None:
    """Let rounded numbers of both signs that only products with weights read begin at zero, in place: exact.

    W x + b is W (x - low) + (b + low W 1), and x - low has no zero point (an MLP-Mixer's products: 1.3 % of its time).
    A zero in the middle needs none already: it is int8's. Convolutions that add zeros around their input, which would
    be ``low``, are left as they are.

    Args:
        opset: OpenVINO's operators.
    """
    for node in model.get_ordered_ops():
        ends = _ends(node) if node.get_type_name() == "FakeQuantize" else None
        if ends is None:
            continue
        products = [_product(reader.get_node(), node) for reader in node.output(0).get_target_inputs()]
        if not products or not all(products):
            continue
        low, high = ends
        for bias, sums in filter(None, products):
            _replace(opset, bias, bias.data + low * sums)
        for port, end in ((3, 0.0), (4, high - low)):
            constant = node.input_value(port).get_node()
            node.input(port).replace_source_output(_constant(opset, np.full(constant.data.shape, end)))


def _ends(node: Model) -> tuple[float, float] | None:
    """The least and the largest number that a rounding gives, of both signs and not with zero in the middle."""
    low, high = (node.input_value(port).get_node() for port in (3, 4))
    if low.get_type_name() != "Constant" or low.data.size != 1 or high.data.size != 1:
        return None
    least, most = float(low.data.item()), float(high.data.item())
    if not least < 0 < most or abs(most / least + 127 / 128) < MIDDLE:
        return None
    return least, most


def _product(node: Model, x: Model) -> Product | None:
    """What multiplies ``x`` by int8 weights, and then adds a bias of its own; else None."""
    kind, attributes = node.get_type_name(), node.get_attributes()
    if kind not in ("MatMul", "Convolution") or node.input_value(0).get_node() is not x:
        return None
    if attributes.get("transpose_a") or any((*attributes.get("pads_begin", ()), *attributes.get("pads_end", ()))):
        return None
    weights, bias = _restored(node.input_value(1).get_node()), _bias(node)
    if weights is None or bias is None or (kind == "MatMul" and weights.ndim != 2):
        return None
    if kind == "Convolution":
        sums = weights.reshape(len(weights), -1).sum(axis=1).reshape(-1, *[1] * (weights.ndim - 2))
    else:
        sums = weights.sum(axis=1 if attributes["transpose_b"] else 0)
    return Product(bias, sums) if bias.data.size in (1, sums.size) else None


def _bias(node: Model) -> Model | None:
    """The constant that is added to a product, and to nothing else."""
    readers = list(node.output(0).get_target_inputs())
    if len(readers) != 1 or readers[0].get_node().get_type_name() != "Add":
        return None
    bias = readers[0].get_node().input_value(1 - readers[0].get_index()).get_node()
    return bias if bias.get_type_name() == "Constant" and len(bias.output(0).get_target_inputs()) == 1 else None


def _restored(node: Model) -> NDArray[np.float64] | None:
    """The numbers of int8 weights, scale and all; None of other tensors."""
    if node.get_type_name() != "Multiply" or node.input_value(0).get_node().get_type_name() != "Convert":
        return None
    codes, scale = node.input_value(0).get_node().input_value(0).get_node(), node.input_value(1).get_node()
    if codes.get_type_name() != "Constant" or scale.get_type_name() != "Constant":
        return None
    return np.asarray(codes.data.astype(np.float64) * scale.data.astype(np.float64))


def _replace(opset: ModuleType, node: Model, values: NDArray[np.float64]) -> None:
    for reader in list(node.output(0).get_target_inputs()):
        reader.replace_source_output(_constant(opset, values))


def _constant(opset: ModuleType, values: NDArray[np.float64]) -> Model:
    return opset.constant(values.astype(np.float32)).output(0)
