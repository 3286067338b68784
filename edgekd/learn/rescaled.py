"""A network that learns standard deviations, and answers in the unit of its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn

from edgekd.learn.outputs import fields


class Rescaled(nn.Module):
    """y_c std_c + mean_c  of what a network says, (N, K): so an untrained one says about the mean of the labels.

    Of a network that gives an output a head, by name or in their order, these are changed that are of values.

    A last layer that had to learn a mean of 190 with a spread of 180 would begin with steps of a thousandth of it. The
    two numbers are those of the training labels: they come with the data and are in no checkpoint. In a file they are
    part of the last linear layer: ``lower/passes/fold_into_linear.py``, ``fold_into_int8_linear.py``.

    Args:
        module: gives a tensor, or several, see ``outputs.fields``.
        mean, std: of each number of all heads, side by side.
        heads: by name, how many numbers each has, and whether it is of values.
    """

    def __init__(
        self,
        module: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        heads: Mapping[str, tuple[int, bool]] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.module, self._heads = module, dict(heads)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    def around(self, module: nn.Module) -> Rescaled:
        """The same unit for what another network says."""
        return Rescaled(module, self.get_buffer("mean").tolist(), self.get_buffer("std").tolist(), self._heads)

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        """Args of the module; (N, K), or (N, K) of each head by name."""
        given = self.module(*inputs)
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        if isinstance(given, Tensor):
            return given * std + mean
        parts: dict[str | int, Tensor] = dict(fields(given) or {})  # type: ignore[arg-type]
        place, scaled = 0, dict[str, Tensor]()
        for number, (name, (size, is_of_values)) in enumerate(self._heads.items()):
            part = parts[name] if name in parts else [*parts.values()][number]
            where = slice(place, place := place + size)
            scaled[name] = part * std[where] + mean[where] if is_of_values else part
        return scaled
