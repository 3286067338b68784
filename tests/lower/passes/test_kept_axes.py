"""A sum over branches before a BatchNorm and a rounded layer: OpenVINO's answers are torch's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgekd.learn.student import Student, TensorSpec


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


def test_openvino_answers_as_torch_does(off_on_openvino: Callable[[Student, int], float]) -> None:
    torch.manual_seed(0)
    student = Student(
        Branches().eval(), (TensorSpec("input", (None, 2, 6, 6)),), (TensorSpec("logits", (None, 3)),), ({"kind": "s"},)
    )
    assert off_on_openvino(student, 8) < 0.02
