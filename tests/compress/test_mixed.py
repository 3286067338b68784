"""Parts of an int8 network in float: the exported file says it, the runtimes do it, and torch answers alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxscript import ir
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.base.errors import ExportError
from edgekd.build import target_runtime
from edgekd.compress._base import Context
from edgekd.compress._mixed import roundings_of
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower import roundings
from edgekd.lower.export import export
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target
from edgekd.spec.mixed import mixed
from edgekd.spec.target import Target

SHAPE = (3, 16, 16)
# The second and the third convolution; between them nothing is rounded then.
ACTIVATIONS, WEIGHTS = (2,), (0, 1)
TARGETS = ("ort-cpu", "openvino")


class Net(nn.Module):
    """Four layers and a residual, every one of which runs in int8 on both runtimes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.b, self.c, self.head = nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.a(x)))
        x = F.relu(self.c(F.relu(self.b(x))) + x)
        return self.head(x.mean((2, 3)))


class Finished(NamedTuple):
    """The net for one target: calibrated, as its int8 file has it, and that file's trace."""

    target: Target
    applied: Student
    int8: Student
    trace: ir.Model
    net: Net


@pytest.fixture(scope="module", params=TARGETS)
def finished(request: pytest.FixtureRequest) -> Finished:
    torch.manual_seed(0)
    place, net = target.load(request.param), Net().eval()
    specs = TensorSpec("input", (None, *SHAPE)), TensorSpec("logits", (None, 5))
    student = Student(net, specs[:1], specs[1:], ({"kind": "student"},))
    assert place.quantized is not None
    applied = Int8Ptq().apply(student, Context(place.quantized, 1, [(inputs(),)]))
    int8 = Int8Ptq().finish(applied, place.quantized.written)
    return Finished(place, applied, int8, export(int8, place.opset), net)


def inputs() -> Tensor:
    return torch.randn(32, *SHAPE, generator=torch.Generator().manual_seed(1))


def without(finished: Finished, activations: tuple[int, ...] = ACTIVATIONS, *, written: bool = True) -> Student:
    """The same with parts in float: as its file says, or as the runtime computes it."""
    assert finished.target.quantized is not None
    numerics = mixed(finished.target.quantized, activations, WEIGHTS)
    return Int8Ptq().finish(finished.applied, numerics.written if written else numerics)


def file_of(finished: Finished, student: Student, trace: ir.Model | None = None) -> bytes:
    return to_onnx(student, opset=finished.target.opset, metadata={}, asked=finished.target.passes, traced=trace)


def test_a_rounding_has_the_same_number_in_torch_and_in_the_trace(finished: Finished) -> None:
    in_torch = roundings_of(finished.int8.module)  # type: ignore[arg-type]
    assert [node.args[1] for node in in_torch] == pytest.approx(roundings.scales(finished.trace))
    assert len(in_torch) == 6 and sorted(roundings.weights(finished.trace)) == [0, 1, 2, 3]


def test_what_is_tried_is_what_is_exported(finished: Finished) -> None:
    """A trace without some roundings is what torch gives without them: it may be exported, and torch be asked."""
    tried = file_of(finished, finished.int8, roundings.without(finished.trace, ACTIVATIONS, WEIGHTS))
    exported = file_of(finished, without(finished))
    nodes = [
        [(node.op_type, list(node.input), list(node.output)) for node in onnx.load_from_string(data).graph.node]
        for data in (tried, exported)
    ]
    assert nodes[0] == nodes[1]
    values = [
        {tensor.name: tensor.SerializeToString() for tensor in onnx.load_from_string(data).graph.initializer}
        for data in (tried, exported)
    ]
    assert values[0] == values[1]


def test_the_runtime_computes_these_layers_in_float_and_answers_as_torch_does(finished: Finished) -> None:
    runtime, x = target_runtime.parse(finished.target), inputs()
    files = {
        name: runtime.backend.lower(file_of(finished, s))
        for name, s in (("int8", finished.int8), ("mixed", without(finished)))
    }
    one = {"input": x[:1].numpy()}
    ran = {name: backends.kernels(runtime.backend, data, one) for name, data in files.items()}
    precisions = {
        name: [kernel.precision for kernel in kernels or () if "Conv" in kernel.op and "ert" not in kernel.op]
        for name, kernels in ran.items()
    }
    assert [of.count("int8") for of in precisions.values()] == [3, 1]
    assert precisions["mixed"].count("float32") == 2

    answers = {name: runtime.backend.open(data).run({"input": x.numpy()})["logits"] for name, data in files.items()}
    with torch.no_grad():
        wanted = without(finished, written=False).module(x).numpy()
    assert np.abs(answers["mixed"] - wanted).mean() < 0.01 * np.ptp(wanted)
    assert (answers["mixed"].argmax(1) == wanted.argmax(1)).mean() > 0.95


def test_weights_keep_the_values_that_they_were_rounded_to(finished: Finished) -> None:
    """The network was trained for these, and its biases corrected."""
    graph = onnx.load_from_string(file_of(finished, without(finished))).graph
    constants = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    floats = [c for c in constants if c.dtype == np.float32 and c.shape == (32, 32, 3, 3)]
    assert len(floats) == 2 and sum(c.dtype == np.int8 and c.ndim == 4 for c in constants) == 1
    for weight in floats:
        assert all(len(np.unique(np.abs(channel))) <= 64 for channel in weight), "7 bits"
        layers = (finished.net.b.weight, finished.net.c.weight)
        assert min(np.abs(weight - layer.detach().numpy()).max() for layer in layers) < 0.01


def test_a_rounding_that_the_network_has_not_is_told(finished: Finished) -> None:
    with pytest.raises(ExportError, match=r"no such rounding.*6"):
        without(finished, (6,))


def test_other_parts_in_float_are_another_file_of_the_same_training() -> None:
    numerics = target.load("ort-cpu").quantized
    assert numerics is not None
    one, other = mixed(numerics, (1,), (0,)), mixed(numerics, (1, 0), ())
    assert len({numerics.unrounded, one.unrounded, other.unrounded}) == 3
    assert one.written.unrounded == one.unrounded and one.name == numerics.name
    assert one.trained.items() >= numerics.trained.items()
