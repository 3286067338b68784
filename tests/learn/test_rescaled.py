"""Values in the unit of their labels: what is learned, what is kept, what a file computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.build import set_up
from edgekd.compress import Context
from edgekd.learn.data.made_table import MadeTable
from edgekd.learn.models.mlp import Mlp
from edgekd.learn.objective import make_terms, on_answers
from edgekd.learn.rescaled import Rescaled
from edgekd.learn.student import SplitHeads, Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import target
from edgekd.tasks import Heads
from edgekd.tasks.classification import Classification
from edgekd.tasks.regression import Regression


def test_an_untrained_network_says_about_the_mean_in_the_unit_of_the_labels() -> None:
    torch.manual_seed(0)
    inner = nn.Linear(4, 2)
    module = Rescaled(inner, (190.0, -3.0), (180.0, 0.5))
    x = torch.randn(8, 4)
    torch.testing.assert_close(module(x), inner(x) * torch.tensor([180.0, 0.5]) + torch.tensor([190.0, -3.0]))
    assert list(module.state_dict()) == ["module.weight", "module.bias"], "the unit comes with the data"


def test_losses_see_standard_deviations_whatever_the_unit() -> None:
    data = MadeTable(names=("a", "b"), spread=180.0, middle=190.0).load(Regression())
    assert data.train.y is not None and data.train.y.dtype == np.float32
    task = Regression().fitted(data.train.y)
    heads = data.heads_of(task)
    assert task.scale is not None and abs(task.scale[1][0] - 180 * np.std((data.train.y[:, 0] - 190) / 180)) < 0.1
    loss = on_answers(make_terms([{"kind": "huber", "delta": 1000.0}], heads=heads))
    y = torch.tensor(data.train.y)
    mean = torch.tensor(task.scale[0]).expand(len(y), 2).float()
    assert abs(float(loss(mean, None, y)) - 0.5) < 1e-3, "half of a variance of 1"
    part = y.clone()
    part[: len(y) // 2, 0] = float("nan")
    assert 0.3 < float(loss(mean, None, part)) < 0.7, "what is not known counts nothing"


def test_a_family_is_wrapped_where_values_have_a_unit_and_classes_are_not() -> None:
    make = lambda: Mlp(width=4, depth=1).build((3,), 1)  # noqa: E731
    values = Heads({"logits": 1}, {"logits": Regression(mean=(5.0,), std=(2.0,))})
    assert isinstance(set_up._in_units(make, values)(), Rescaled)
    assert set_up._in_units(make, Heads({"logits": 1}, {"logits": Regression()})) is make
    assert set_up._in_units(make, Heads({"logits": 2})) is make


class Two(nn.Module):
    """Two classes and a value, by name or in order."""

    def __init__(self, by_name: bool) -> None:
        super().__init__()
        self.kind, self.size, self.by_name = nn.Linear(6, 2), nn.Linear(6, 1), by_name

    def forward(self, x: Tensor) -> dict[str, Tensor] | tuple[Tensor, Tensor]:
        kind, size = self.kind(x), self.size(x)
        return {"size": size, "kind": kind} if self.by_name else (kind, size)


@pytest.mark.parametrize("by_name", [True, False])
def test_of_several_outputs_those_of_values_alone_are_in_a_unit(by_name: bool) -> None:
    torch.manual_seed(0)
    tasks = {"kind": Classification(), "size": Regression(mean=(190.0,), std=(180.0,))}
    inner, x = Two(by_name), torch.randn(4, 6)
    given = set_up._in_units(lambda: inner, Heads({"kind": 2, "size": 1}, tasks))()(x)
    assert list(given) == ["kind", "size"]
    assert torch.equal(given["kind"], inner.kind(x))
    torch.testing.assert_close(given["size"], inner.size(x) * 180 + 190)


def test_a_file_of_classes_and_values_computes_the_unit_in_the_layer_that_both_share() -> None:
    torch.manual_seed(0)
    tasks = {"kind": Classification(), "size": Regression(mean=(190.0,), std=(180.0,))}
    make = set_up._in_units(lambda: nn.Linear(6, 3), Heads({"kind": 2, "size": 1}, tasks))
    module = SplitHeads(make(), [2, 1], ["kind", "size"]).eval()
    outputs = TensorSpec("kind", (None, 2)), TensorSpec("size", (None, 1))
    student = Student(module, (TensorSpec("input", (None, 6)),), outputs)
    data = to_onnx(student, opset=20, metadata={})
    assert not {"Mul", "Add"} & {node.op_type for node in onnx.load_from_string(data).graph.node}
    x = np.random.default_rng(1).standard_normal((16, 6)).astype(np.float32)
    found = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"input": x})
    with torch.no_grad():
        for mine, wanted in zip(found, module(torch.tensor(x)), strict=True):
            np.testing.assert_allclose(mine, wanted.numpy(), rtol=1e-5, atol=1e-4)


def students() -> Student:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
    inputs, outputs = (TensorSpec("input", (None, 6)),), (TensorSpec("logits", (None, 2)),)
    return Student(Rescaled(inner, (190.0, -3.0), (180.0, 0.5)).eval(), inputs, outputs)


def operators(student: Student) -> tuple[list[str], np.ndarray]:
    """Of a file, in order, and what it says to 16 samples."""
    data = to_onnx(student, opset=20, metadata={})
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((16, 6)).astype(np.float32)
    return [node.op_type for node in onnx.load_from_string(data).graph.node], session.run(None, {"input": x})[0]


def test_a_file_computes_the_unit_in_its_last_layer() -> None:
    student = students()
    ops, found = operators(student)
    assert ops == ["Gemm", "Relu", "Gemm"]
    x = torch.tensor(np.random.default_rng(1).standard_normal((16, 6)).astype(np.float32))
    with torch.no_grad():
        np.testing.assert_allclose(found, student.module(x).numpy(), rtol=1e-5, atol=1e-4)


def test_a_file_in_int8_does_so_too_and_rounds_no_weight_again() -> None:
    student = students()
    change = plugins.build("compress", {"kind": "int8_ptq"}, "test")
    x = np.random.default_rng(1).standard_normal((16, 6)).astype(np.float32)
    context = Context(target.load("ort-cpu").quantized, 1, [(torch.tensor(x),)])
    finished = change.finish(change.apply(student, context))
    ops, found = operators(finished)
    assert not {"Mul", "Add"} & set(ops) and "Gemm" in ops
    with torch.no_grad():
        wanted = finished.module(torch.tensor(x)).numpy()
    # What is left of 180 is its rounding in float32; a weight that was rounded again would be off by 1 % of the range.
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.ptp(wanted))
