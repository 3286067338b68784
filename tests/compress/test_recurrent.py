"""LSTMs in int8: what is rounded, and the grids that OpenVINO's kernel wants."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekd.compress._base import Context
from edgekd.compress._fold import attribute
from edgekd.compress._graph import op
from edgekd.compress._recurrent import cells_of, share_scales
from edgekd.compress._unrounded import DEQUANTIZE
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.compress.int8_qat import Int8Qat
from edgekd.learn.student import Student, TensorSpec
from edgekd.spec import target
from edgekd.spec.target import STATE_SCALE, Numerics

STEPS, WIDTH, UNITS = 5, 6, 3


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


@cache
def prepared(change: Int8Ptq | Int8Qat | None = None) -> Student:
    torch.manual_seed(1)
    batches = [(torch.randn(16, STEPS, WIDTH) * 3,)]
    return (change or Int8Ptq()).apply(student(), Context(scheme(), 1, batches))


def graph_of(finished: Student) -> Any:
    return finished.module.graph


def recurrent(finished: Student) -> Any:
    return next(node for node in graph_of(finished).nodes if op(node) == "lstm")


def test_the_products_of_input_and_state_have_one_scale() -> None:
    graph = graph_of(prepared.__wrapped__())
    (node,) = (node for node in graph.graph.nodes if op(node) == "lstm")
    share_scales(graph)
    scale = float(graph.get_submodule(str(node.args[0].target)).calculate_qparams()[0])
    for (of_input, of_state), factor in zip(cells_of(node), (scale, STATE_SCALE), strict=True):
        roundings = [graph.get_submodule(str(weight.target)) for weight in (of_input, of_state)]
        scales = [rounding.calculate_qparams()[0] for rounding in roundings]
        torch.testing.assert_close(scales[0] * factor, scales[1] * STATE_SCALE)
        units = scales[1].reshape(4, -1)
        assert torch.equal(units, units[:1].expand_as(units)), "a unit's gates share theirs"
        for rounding, rows, weight in zip(roundings, scales, (of_input, of_state), strict=True):
            source: Any = weight.args[0]
            values = attribute(graph, source)
            assert (rounding(values) - values).abs().le(rows[:, None] * 0.501).all(), "nothing is cut off"


def test_layers_of_equal_sizes_have_equal_scales() -> None:
    """OpenVINO would compute the second by the scales of the first."""
    graph = graph_of(prepared.__wrapped__())
    share_scales(graph)
    (node,) = (node for node in graph.graph.nodes if op(node) == "lstm")
    first, second = (graph.get_submodule(str(of_state.target)) for _, of_state in cells_of(node))
    assert torch.equal(first.scale, second.scale) and len(first.scale) == 4 * WIDTH


@pytest.mark.parametrize(("name", "rounded"), [("separate", True), ("shared", True), ("unrounded", False)])
def test_what_a_runtime_rounds_itself_the_file_does_not(name: str, rounded: bool) -> None:
    node = recurrent(Int8Ptq().finish(prepared(), scheme(recurrent=name)))
    assert (node.args[0].target is DEQUANTIZE) == rounded
    assert all("dequantize" in str(weight.target) for cell in cells_of(node) for weight in cell)


def test_one_that_stays_in_float_has_float_weights() -> None:
    change = Int8Qat(float_layers=("cells",))
    node = recurrent(change.finish(prepared(change), scheme()))
    assert {weight.op for cell in cells_of(node) for weight in cell} == {"get_attr"}


def test_its_rounding_is_among_those_that_are_compared() -> None:
    found = prepared().lineage[-1]["sensitivity"]
    assert set(found) == {"cells", "head"} and found["cells"] > 0


def test_weights_are_trained_as_they_are_rounded() -> None:
    module = prepared.__wrapped__().module.train()
    module(torch.randn(4, STEPS, WIDTH)).square().sum().backward()
    moved = [name for name, parameter in module.named_parameters() if parameter.grad is not None]
    assert sum("weight_ih" in name or "weight_hh" in name for name in moved) == 4


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN])
def test_what_no_runtime_has_in_int8_stays_as_it_is(kind: Any) -> None:
    class Other(Net):
        def __init__(self) -> None:
            super().__init__()
            self.cells = kind(WIDTH, WIDTH, 2, batch_first=True)

    specs = TensorSpec("x", (None, STEPS, WIDTH)), TensorSpec("logits", (None, 2))
    plain = Student(Other().eval(), specs[:1], specs[1:], ({"kind": "student"},))
    change = Int8Ptq()
    ready = change.apply(plain, Context(scheme(), 1, [(torch.randn(8, STEPS, WIDTH),)]))
    assert set(ready.lineage[-1]["sensitivity"]) == {"head"}


@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, False), (3, True)])
def test_an_lstm_with_projections_stays_in_float(layers: int, both: bool) -> None:
    """Five tensors a cell: no number of them is taken for cells of four."""
    net = Net()
    net.cells = nn.LSTM(WIDTH, 8, layers, batch_first=True, bidirectional=both, proj_size=3)
    net.head = nn.Linear(6 if both else 3, 2)
    specs = TensorSpec("x", (None, STEPS, WIDTH)), TensorSpec("logits", (None, 2))
    whole = Student(net.eval(), specs[:1], specs[1:], ({"kind": "student"},))
    after = Int8Ptq().apply(whole, Context(scheme(), 1, [(torch.randn(4, STEPS, WIDTH),)]))
    assert not [cell for node in graph_of(after).graph.nodes for cell in cells_of(node)]
