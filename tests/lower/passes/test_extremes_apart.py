"""The largest and smallest entries before a rounded layer: OpenVINO's answers are torch's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekd.learn.student import Student, TensorSpec


def over_steps(x: Tensor) -> Tensor:
    return x.flatten(2).amax(2)


def over_places(x: Tensor) -> Tensor:
    return torch.cat([x.amax((2, 3)), x.mean((2, 3)), x.amin((2, 3))], 1)


def over_channels(x: Tensor) -> Tensor:
    return torch.cat([x.mean(1, keepdim=True), x.max(1)[0].unsqueeze(1), x.amin(1, keepdim=True)], 1)


def scaled(x: Tensor) -> Tensor:
    return functional.leaky_relu(0.5 * x.amax(3, keepdim=True))


# How many channels each gives, and whether to a linear layer.
POOLS: dict[Callable[[Tensor], Tensor], tuple[int, bool]] = {
    over_steps: (16, True),
    over_places: (48, True),
    over_channels: (3, False),
    scaled: (16, False),
}


class Pooled(nn.Module):
    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        width, linear = POOLS[pool]
        self.first, self.pool = nn.Conv2d(3, 16, 3), pool
        self.last = nn.Linear(width, 4) if linear else nn.Conv2d(width, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.last(self.pool(torch.tanh(self.first(x)) / 3)).reshape(len(x), 4, -1).mean(2))


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.__name__)
def test_openvino_answers_as_torch_does(
    pool: Callable[[Tensor], Tensor], off_on_openvino: Callable[[Student, int], float]
) -> None:
    torch.manual_seed(0)
    student = Student(
        Pooled(pool).eval(),
        (TensorSpec("input", (None, 3, 8, 8)),),
        (TensorSpec("logits", (None, 4)),),
        ({"kind": "s"},),
    )
    assert off_on_openvino(student, 4) < 0.02
