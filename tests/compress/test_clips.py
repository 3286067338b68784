"""A grid ends where a clip in front of it clips, and the clip is gone from the file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekd.base import plugins
from edgekd.compress._base import Context
from edgekd.compress._unrounded import QUANTIZE
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime.backends.ort.backend import Ort
from edgekd.spec import target

SHAPE = (3, 12, 12)


def conv(before: int, clip: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), clip)


class Pooled(nn.Module):
    """Clips, a pool on their grid, and a concatenation of both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(3, nn.Hardtanh()), conv(8, nn.Hardtanh(inplace=True))
        self.pool, self.head = nn.MaxPool2d(3, 1, 1), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(torch.cat([self.pool(x), self.second(x)], 1).mean((2, 3)))


def converted(module: nn.Module, spread: float = 20.0) -> tuple[Student, Tensor]:
    """A calibrated student, and inputs of which some reach every bound."""
    torch.manual_seed(0)
    x = spread * torch.randn(32, *SHAPE)
    with torch.no_grad():
        module.train()(x)
    student = Student(module.eval(), (TensorSpec("input", (None, *SHAPE)),), (TensorSpec("logits", (None, 5)),))
    change = plugins.build("compress", {"kind": "int8_ptq"}, "test")
    # A first batch that reaches less: a range keeps its share of what it sees, and so passes the bounds later.
    prepared = change.apply(student, Context(target.load("ort-cpu").quantized, 8, [(0.3 * x,), (x,)]))
    return change.finish(prepared, target.load("ort-cpu").quantized), x


def steps_of(student: Student) -> list[float]:
    """Of the roundings, in order."""
    assert isinstance(student.module, GraphModule)
    return [float(str(node.args[1])) for node in student.module.graph.nodes if node.target is QUANTIZE]


def head(clip: nn.Module) -> nn.Module:
    return nn.Sequential(conv(3, clip), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


@pytest.mark.parametrize("module", [head(nn.Hardtanh()), head(nn.Hardtanh(-2.0, 2.0)), Pooled()])
def test_the_clip_is_gone_and_the_file_answers_as_torch_does(module: nn.Module) -> None:
    student, x = converted(module)
    file = to_onnx(student, opset=20, metadata={})
    assert "Clip" not in {node.op_type for node in onnx.load_from_string(file).graph.node}
    with torch.no_grad():
        expected = student.module(x).numpy()
    session = Ort().open({"model.onnx": file}, batch=len(x))
    answers = session.run({"input": x.numpy()})["logits"]
    assert np.abs(answers - expected).max() <= 0.02 * np.ptp(expected)


def test_what_a_clip_does_not_bound_alone_keeps_its_grid() -> None:
    """A sum with something larger: rounded together with what is clipped, its grid is not the clip's."""

    class Wider(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = conv(3, nn.Hardtanh()), conv(3, nn.Identity())
            self.head = nn.Linear(16, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.cat([self.first(x), self.second(x)], 1).mean((2, 3)))

    student, x = converted(Wider())
    scales = steps_of(student)
    assert max(scales) > 1.5 / 127, "the concatenation's"
    with torch.no_grad():
        assert torch.isfinite(student.module(x)).all()


def test_a_clip_that_nothing_reaches_keeps_the_finer_steps() -> None:
    student, _ = converted(head(nn.Hardtanh(-40.0, 40.0)), spread=1.0)
    steps = steps_of(student)
    assert max(steps[1:]) < 10 / 127


def test_bounds_of_unlike_sides_stay_with_their_clip() -> None:
    """A grid with its zero in the middle can't end at both."""
    student, x = converted(head(nn.Hardtanh(-0.5, 0.75)))
    with torch.no_grad():
        expected = student.module(x)
    file = to_onnx(student, opset=20, metadata={})
    answers = Ort().open({"model.onnx": file}, batch=len(x)).run({"input": x.numpy()})["logits"]
    assert np.abs(answers - expected.numpy()).max() <= 0.02 * np.ptp(expected.numpy())
