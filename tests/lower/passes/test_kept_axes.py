"""A sum over branches before a BatchNorm and a rounded layer: OpenVINO's answers are torch's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.compress import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.head = nn.Conv2d(2, 32, 1), nn.BatchNorm2d(16), nn.Conv2d(16, 3, 1)
        with torch.no_grad():
            self.norm.weight.copy_(torch.linspace(0.2, 2, 16))
            self.norm.bias.copy_(torch.linspace(-1, 1, 16))

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x).unflatten(1, (2, 16)).sum(1)
        return torch.as_tensor(self.head(self.norm(y)).mean((2, 3)))


def test_openvino_answers_as_torch_does() -> None:
    torch.manual_seed(0)
    student = Student(
        Branches().eval(), (TensorSpec("input", (None, 2, 6, 6)),), (TensorSpec("logits", (None, 3)),), ({"kind": "s"},)
    )
    place, x = target.load("openvino"), student.example(8)
    change = plugins.build("compress", {"kind": "int8_qat", "samples": 8}, "compress[0]")
    applied = change.apply(student, Context(place.quantized, 1, [x]))
    data = to_onnx(change.finish(applied, place.quantized), opset=place.opset, metadata={}, asked=place.passes)
    backend = backends.make("openvino", {}, "t")
    answers = next(iter(backend.open(backend.lower(data), batch=8).run({"input": x[0].numpy()}).values()))
    with torch.no_grad():
        expected = applied.module(*x).numpy()
    assert np.abs(np.asarray(answers, np.float32) - expected).max() < 0.02 * np.ptp(expected)
