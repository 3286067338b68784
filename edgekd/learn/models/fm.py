"""A factorization machine that ranks all items at once: the small student of recommenders."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Fm:
    """score of item i = b_i + < sum of the fields' vectors, q_i >  (Rendle 2010, doi:10.1109/ICDM.2010.127)

    The interactions of the item with the user and, where the student sees it, with the mean of its history; terms
    without the item don't change a ranking and are left out.

    Attributes:
        width: of the vectors, 1 to 4096.
    """

    width: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise ValueError("width: allowed is 1 to 4096")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N,) users and, where there are two inputs, (N, K) items -> (N, classes) scores.

        Args:
            input_shape: how many values each input has.

        Raises:
            ValueError: neither one nor two inputs of whole numbers.
        """
        if len(input_shape) not in (1, 2):
            raise ValueError("fm needs a user, or a user and a history: inputs of whole numbers")
        return FmModule(input_shape, classes, self.width)


class FmModule(nn.Module):
    """The module of ``Fm``."""

    def __init__(self, sizes: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.fields = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        for parameter in self.fields.parameters():
            nn.init.normal_(parameter, std=0.1)
        self.head = nn.Linear(width, classes)

    def forward(self, user: Tensor, history: Tensor | None = None) -> Tensor:
        total = self.fields[0](user)
        if history is not None:
            total = total + mean_of(self.fields[1](history), history, self.sizes[1] - 1)
        return self.head(total)


def mean_of(vectors: Tensor, numbers: Tensor, padding: int) -> Tensor:
    """(N, D): the mean of (N, K, D) vectors whose (N, K) numbers are no padding; zero where all are."""
    there = (numbers != padding).to(vectors.dtype).unsqueeze(2)
    return (vectors * there).sum(dim=1) / torch.clamp(there.sum(dim=1), min=1.0)
