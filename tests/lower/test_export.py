"""A network that trained channels last is exported as one that did not, and one that counts its samples is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx


@pytest.mark.parametrize("channels", [1, 2])
def test_pooling_stays_pooling(channels: int) -> None:
    """Of one input channel every layout counts as contiguous, and the exporter still sees the strides."""
    shape = (channels, 8, 8)
    module = plugins.build("models", {"kind": "convnet", "width": 16}, "m").build(shape, 3).eval()
    module.to(memory_format=torch.channels_last)
    student = Student(module, (TensorSpec("input", (None, *shape)),), (TensorSpec("y", (None, 3)),), ())
    strides = [tensor.stride() for tensor in module.parameters()]
    graph = onnx.load_from_string(to_onnx(student, opset=20, metadata={})).graph
    assert {node.op_type for node in graph.node} == {"Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"}
    assert strides == [tensor.stride() for tensor in module.parameters()], "training goes on as before"


class Counts(nn.Module):
    """Says how many samples there are in Python's way, ``len``, or by a loop."""

    def __init__(self, count: Callable[[Tensor], int]) -> None:
        super().__init__()
        self.body, self.count = nn.Linear(4, 3), count

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.body(x) * torch.ones(self.count(x), 1))


def counting(count: Callable[[Tensor], int]) -> Student:
    return Student(Counts(count).eval(), (TensorSpec("input", (None, 4)),), (TensorSpec("y", (None, 3)),), ())


def test_the_length_of_a_batch_is_free() -> None:
    student = counting(lambda x: len(x))  # looked up where it is called
    session = onnxruntime.InferenceSession(to_onnx(student, opset=20, metadata={}))
    for samples in (1, 3):
        (x,) = student.example(samples)
        (got,) = session.run(None, {"input": x.numpy()})
        assert np.allclose(got, student.module(x).detach().numpy(), atol=1e-5)


def test_a_batch_that_the_export_fixes_is_refused() -> None:
    student = counting(lambda x: sum(1 for _ in range(x.shape[0])))
    with pytest.raises(ExportError, match=r"fixes the batch of input; found '2'; .* not int\(\.\.\.\)"):
        to_onnx(student, opset=20, metadata={})


class Dots(nn.Module):
    """Einsums whose dots stand for axes that one tensor has and the other has not, or has once."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.scales = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(1, 6, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.einsum("...id,...jd->...ij", x, self.features)
        x = torch.einsum("... i j, ... i c", x, self.scales)
        return torch.einsum("...jc->...c", x).mean(1)


def test_einsums_over_axes_that_are_not_named_run() -> None:
    torch.manual_seed(0)
    student = Student(Dots().eval(), (TensorSpec("input", (None, 2, 6, 4)),), (TensorSpec("y", (None, 4)),), ())
    session = onnxruntime.InferenceSession(to_onnx(student, opset=20, metadata={}))
    for samples in (1, 3):
        (x,) = student.example(samples)
        with torch.no_grad():
            wanted = student.module(x).numpy()
        (got,) = session.run(None, {"input": x.numpy()})
        assert np.allclose(got, wanted, atol=1e-5)


class Concrete(nn.Linear):
    """Needs a place in memory where the exporter has none."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + hash(x.data_ptr())


def test_what_cant_be_exported_names_module_call_and_line() -> None:
    student = Student(Concrete(4, 3).eval(), (TensorSpec("input", (None, 4)),), (TensorSpec("y", (None, 3)),), ())
    student.module.requires_grad_(False)
    with pytest.raises(ExportError, match=r"test_export\.Concrete\.forward at test_export\.py:\d+: can't be exported"):
        to_onnx(student, opset=20, metadata={})


class OwnKernels(nn.Module):
    """Each sample is convolved with kernels of its own, all of a batch in one call."""

    def __init__(self) -> None:
        super().__init__()
        self.made = nn.Linear(2, 4 * 2 * 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernels = self.made(x.mean((2, 3))).view(-1, 2, 3, 3)
        rows = x.reshape(1, -1, *x.shape[2:])
        return functional.conv2d(rows, kernels, groups=x.shape[0]).view(x.shape[0], 4, 4, 4).mean((2, 3))


def test_a_number_that_follows_from_the_batch_is_told() -> None:
    specs = (TensorSpec("input", (None, 2, 6, 6)),), (TensorSpec("y", (None, 4)),)
    with pytest.raises(ExportError, match=r"must not follow from the batch: groups=x\.shape\[0\]"):
        to_onnx(Student(OwnKernels().eval(), *specs, ()), opset=20, metadata={})


def test_a_randomised_slope_is_the_middle_of_its_range_and_a_window_wider_than_the_map_takes_it_all() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.RReLU(0.1, 0.5), nn.AvgPool2d(64, ceil_mode=True), nn.Flatten(), nn.Linear(4, 3)
    ).eval()
    student = Student(module, (TensorSpec("input", (None, 2, 6, 6)),), (TensorSpec("y", (None, 3)),), ())
    data = to_onnx(student, opset=20, metadata={})
    operators = {node.op_type for node in onnx.load_from_string(data).graph.node}
    assert operators == {"Conv", "LeakyRelu", "GlobalAveragePool", "Flatten", "Gemm"}
    x = torch.randn(3, 2, 6, 6)
    (answer,) = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"input": x.numpy()})
    np.testing.assert_allclose(answer, module(x).detach().numpy(), atol=1e-5)


def test_a_weight_that_no_operator_computes_is_written_down_as_it_is() -> None:
    """The exponential of a matrix, of which an orthogonal weight is made."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 3)).eval()
    student = Student(net, (TensorSpec("input", (None, 4)),), (TensorSpec("y", (None, 3)),), ())
    x = torch.randn(5, 4)
    session = onnxruntime.InferenceSession(to_onnx(student, opset=20, metadata={}))
    np.testing.assert_allclose(session.run(None, {"input": x.numpy()})[0], net(x).detach().numpy(), atol=1e-5)
    assert nn.utils.parametrize.is_parametrized(net[0])
