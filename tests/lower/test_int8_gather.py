"""Tables that are looked up stay int8 in the file, on both runtimes, and the answers stay those of torch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from edgekd.base import plugins
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target

USERS, ITEMS, LENGTH = 50, 40, 6
INPUTS = (
    TensorSpec("user", (None,), "int64", USERS),
    TensorSpec("history", (None, LENGTH), "int64", ITEMS + 1),
)


def student() -> Student:
    torch.manual_seed(0)
    module = plugins.build("models", {"kind": "fm", "width": 16}, "m").build((USERS, ITEMS + 1), ITEMS)
    return Student(module.eval(), INPUTS, (TensorSpec("logits", (None, ITEMS)),), ({"kind": "student"},))


@pytest.mark.parametrize("name", ["ort-cpu", "openvino"])
def test_tables_are_gathered_as_int8(name: str) -> None:
    before = student()
    change = plugins.build("compress", {"kind": "int8_qat"}, "c")
    context = Context(target.load(name).quantized, 1, [before.example(32, seed) for seed in range(2)])
    after = change.apply(before, context)
    finished = change.finish(after)
    data = to_onnx(finished, opset=20, metadata={})
    graph = onnx.load_from_string(data).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    gathered = [types[node.input[0]] for node in graph.node if node.op_type == "Gather"]
    assert gathered == [onnx.TensorProto.UINT8] * 2  # as activations are
    assert len(data) < 16 * (USERS + 2 * ITEMS + 1) + 8 * ITEMS + 8000

    example = before.example(5, seed=9)
    backend = backends.make(target.load(name).backend, {}, "t")
    session = backend.open(backend.lower(data), batch=5)
    arrays = {spec.name: tensor.numpy() for spec, tensor in zip(INPUTS, example, strict=True)}
    got = session.run(arrays)["logits"]
    after.module.eval()
    with torch.no_grad():
        wanted = after.module(*example).numpy()
    assert np.abs(got - wanted).max() <= 0.05 * (wanted.max() - wanted.min())


def looked_up(width: int) -> Student:
    """A table, and a product with its rows."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Embedding(USERS, width), torch.nn.Linear(width, ITEMS))
    outputs = (TensorSpec("logits", (None, ITEMS)),)
    return Student(module.eval(), INPUTS[:1], outputs, ({"kind": "student"},))


@pytest.mark.parametrize(("width", "scales"), [(16, 1), (48, ITEMS)])
def test_rows_of_a_table_are_multiplied_as_they_are(width: int, scales: int) -> None:
    """No number is rounded at run time, and a narrow layer has one scale: ONNX Runtime runs a Gather and a QGemm."""
    before = looked_up(width)
    change = plugins.build("compress", {"kind": "int8_ptq"}, "c")
    context = Context(target.load("ort-cpu").quantized, 1, [before.example(32, seed) for seed in range(2)])
    after = change.apply(before, context)
    data = to_onnx(change.finish(after), opset=20, metadata={})
    graph = onnx.load_from_string(data).graph
    assert sorted(node.op_type for node in graph.node) == ["DequantizeLinear"] * 3 + ["Gather", "Gemm"]
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    (gemm,) = (node for node in graph.node if node.op_type == "Gemm")
    dequantized = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    assert [sizes[dequantized[name].input[1]] for name in gemm.input] == [1, scales, scales]

    example = before.example(7, seed=9)
    backend = backends.make("ort", {}, "t")
    got = backend.open(backend.lower(data), batch=7).run({"user": example[0].numpy()})["logits"]
    with torch.no_grad():
        wanted = after.module(*example).numpy()
    assert np.abs(got - wanted).max() <= 1e-3 * (wanted.max() - wanted.min())


class Bag(torch.nn.Module):
    """The mean of some rows, and two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.a, self.b = torch.nn.Embedding(50, 32), torch.nn.Linear(32, 32), torch.nn.Linear(32, 48)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.b(torch.relu(self.a(self.table(ids).mean(1)))))


def test_a_mean_of_int8_rows_is_right_for_every_sample_of_a_batch() -> None:
    torch.manual_seed(0)
    bag = TensorSpec("ids", (None, 10), "int64", 50)
    before = Student(Bag().eval(), (bag,), (TensorSpec("logits", (None, 48)),), ({"kind": "student"},))
    change = plugins.build("compress", {"kind": "int8_qat"}, "c")
    after = change.finish(change.apply(before, Context(target.load("openvino").quantized, 1, [before.example(32)])))
    data = to_onnx(after, opset=20, metadata={})
    assert "ReduceMean" not in [node.op_type for node in onnx.load_from_string(data).graph.node]
    backend = backends.make(target.load("openvino").backend, {}, "t")
    (x,) = before.example(64, seed=9)
    with torch.no_grad():
        wanted = after.module(x).numpy()
    for batch in (2, 8, 64):
        got = backend.open(backend.lower(data), batch=batch).run({"ids": x[:batch].numpy()})["logits"]
        assert np.abs(got - wanted[:batch]).max() <= 0.05 * np.ptp(wanted), batch
