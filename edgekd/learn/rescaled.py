"""A network that learns standard deviations, and answers in the unit of its labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Rescaled(nn.Module):
    """y_c std_c + mean_c  of what a network says, (N, K): so an untrained one says about the mean of the labels.

    A last layer that had to learn a mean of 190 with a spread of 180 would begin with steps of a thousandth of it. The
    two numbers are those of the training labels: they come with the data and are in no checkpoint. In a file they are
    part of the last linear layer: ``lower/passes/fold_into_linear.py``, ``fold_into_int8_linear.py``.
    """

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        values: Tensor = self.module(*inputs)
        return values * self.get_buffer("std") + self.get_buffer("mean")
