"""A perceptron with several layers, for rows of numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Mlp:
    """Linear layers of one width with BatchNorm and ReLU between (Ioffe and Szegedy 2015, arXiv:1502.03167).

    BatchNorm is folded into the linear layers before a file is written.

    Attributes:
        width: of every hidden layer, 1..4096.
        depth: hidden layers, 1..16.
        dropout: the share of each hidden layer that training leaves out, 0 <= p < 1.
    """

    width: int = 64
    depth: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise ValueError("width: allowed is 1 to 4096")
        if not 1 <= self.depth <= 16:
            raise ValueError("depth: allowed is 1 to 16")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout: allowed is 0 <= p < 1")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, *input_shape) -> (N, classes)."""
        return MlpModule(math.prod(input_shape), classes, self)


class MlpModule(nn.Module):
    """The module of ``Mlp``."""

    def __init__(self, inputs: int, classes: int, family: Mlp) -> None:
        super().__init__()
        widths = [inputs, *[family.width] * family.depth]
        self.body = nn.Sequential(*(_layer(widths[i], widths[i + 1], family.dropout) for i in range(family.depth)))
        self.head = nn.Linear(family.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.flatten(1)))


def _layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    parts: list[nn.Module] = [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*parts, *([nn.Dropout(dropout)] if dropout else []))
