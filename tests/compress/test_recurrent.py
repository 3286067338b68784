"""LSTMs in int8: what is rounded, and the grids that OpenVINO's kernel wants."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgekd.compress._base import Context
from edgekd.compress._recurrent import STATE_SCALE
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.compress.int8_qat import Int8Qat
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import target
from edgekd.spec.target import Numerics

STEPS, WIDTH, UNITS = 5, 6, 3
Array = np.ndarray[Any, Any]


class Net(nn.Module):
    """An LSTM and a head: two layers of equal sizes, the first of which reads larger numbers than the second."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(WIDTH, WIDTH, 2, batch_first=True), nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def student() -> Student:
    torch.manual_seed(0)
    specs = TensorSpec("x", (None, STEPS, WIDTH)), TensorSpec("logits", (None, 2))
    return Student(Net().eval(), specs[:1], specs[1:], ({"kind": "student"},))


def scheme(name: str = "openvino", **more: Any) -> Numerics:
    chosen = target.load(name).quantized
    assert chosen is not None
    return chosen.model_copy(update=more)


def prepared(change: Int8Ptq | Int8Qat | None = None) -> Student:
    torch.manual_seed(1)
    batches = [(torch.randn(16, STEPS, WIDTH) * 3,)]
    return (change or Int8Ptq()).apply(student(), Context(scheme(), 1, batches))


def matrices(recurrent: str) -> tuple[list[tuple[Array, Array]], float | None]:
    """Codes and scales of the exported matrices, in the order of the layers, and the scale of what the first reads."""
    finished = Int8Ptq().finish(prepared(), scheme(recurrent=recurrent))
    graph = onnx.load_from_string(to_onnx(finished, opset=20, metadata={})).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    of_weights = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    rounded = [n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "x"]
    pairs = [(constants[node.input[0]], constants[node.input[1]]) for node in of_weights]
    pairs = [pair for pair in pairs if pair[0].ndim == 2 and pair[0].shape[0] == 4 * WIDTH]
    return pairs, float(constants[rounded[0].input[1]]) if rounded else None


def test_the_products_of_input_and_state_have_one_scale() -> None:
    pairs, scale = matrices("shared")
    assert scale is not None and len(pairs) == 4
    first, second = (pairs[0], pairs[1]), (pairs[2], pairs[3])
    for (_, of_input), (_, of_state), factor in ((*first, scale), (*second, STATE_SCALE)):
        np.testing.assert_allclose(of_input * factor, of_state * STATE_SCALE, rtol=1e-5)
        units = of_state.reshape(4, -1)
        assert (units == units[:1]).all(), "a unit's gates share theirs"
    assert all(np.abs(codes).max() <= 63 for codes, _ in pairs)
    assert max(np.abs(codes).max() for codes, _ in pairs) == 63


def test_layers_of_equal_sizes_have_equal_scales() -> None:
    """OpenVINO would compute the second by the scales of the first."""
    pairs, _ = matrices("shared")
    assert np.array_equal(pairs[1][1], pairs[3][1])


def test_by_itself_each_matrix_has_a_scale_of_its_own() -> None:
    pairs, scale = matrices("separate")
    assert [scales.size for _, scales in pairs] == [1] * 4 and scale is not None
    assert len({float(scales) for _, scales in pairs}) == 4


def test_what_a_runtime_rounds_itself_the_file_does_not() -> None:
    pairs, scale = matrices("dynamic")
    assert len(pairs) == 4 and scale is None


def test_one_that_stays_in_float_has_float_weights() -> None:
    change = Int8Qat(float_layers=("cells",))
    finished = change.finish(prepared(change), scheme())
    graph = onnx.load_from_string(to_onnx(finished, opset=20, metadata={})).graph
    kinds = [tensor.data_type for tensor in graph.initializer if list(tensor.dims)[:1] == [4 * WIDTH]]
    assert kinds and set(kinds) == {onnx.TensorProto.FLOAT}


def test_its_rounding_is_among_those_that_are_compared() -> None:
    record = prepared().record[-1]
    assert set(record["sensitivity"]) == {"cells", "head"} and record["sensitivity"]["cells"] > 0


def test_weights_are_trained_as_they_are_rounded() -> None:
    module = prepared().module.train()
    x = torch.randn(4, STEPS, WIDTH)
    module(x).square().sum().backward()
    moved = [name for name, parameter in module.named_parameters() if parameter.grad is not None]
    assert sum("weight_ih" in name or "weight_hh" in name for name in moved) == 4


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN])
def test_what_no_runtime_has_in_int8_stays_as_it_is(kind: type[nn.RNNBase]) -> None:
    class Other(Net):
        def __init__(self) -> None:
            super().__init__()
            self.cells = kind(WIDTH, WIDTH, 2, batch_first=True)

    specs = TensorSpec("x", (None, STEPS, WIDTH)), TensorSpec("logits", (None, 2))
    plain = Student(Other().eval(), specs[:1], specs[1:], ({"kind": "student"},))
    change = Int8Ptq()
    ready = change.apply(plain, Context(scheme(), 1, [(torch.randn(8, STEPS, WIDTH),)]))
    assert set(ready.record[-1]["sensitivity"]) == {"head"}
