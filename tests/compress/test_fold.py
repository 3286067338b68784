from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekd.build import compression
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.spec import target


class Shifted(nn.Module):
    """A parameter is added in front of a BatchNorm, which then follows no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shift = nn.Linear(6, 8), nn.Parameter(torch.rand(8))
        self.norm, self.last = nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(torch.relu(self.first(x)) + self.shift)))


def test_a_sum_in_front_of_a_norm_is_not_taken_for_a_layers_bias() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 6)
    module = Shifted().eval()
    student = Student(module, (TensorSpec("x", (None, 6)),), (TensorSpec("y", (None, 3)),), ({"kind": "student"},))
    change = compression.passes([{"kind": "int8_ptq"}], "compress")[0].change
    prepared = change.finish(change.apply(student, Context(target.load("ort-cpu").quantized, 1, [(x,)])))
    with torch.no_grad():
        wanted, answer = module(x), prepared.module(x)
    assert float((answer - wanted).abs().max()) < 0.05 * float(wanted.max() - wanted.min())
