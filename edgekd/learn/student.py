"""A Student: a torch module, what goes in and out of it, and how to rebuild it without pickle."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from edgekd.preprocess import Spec

LENGTH = 8  # of a sequence in an example


TensorSpec = Spec  # of inputs and outputs alike; the first size is always the batch


@dataclass(frozen=True)
class Student:
    """A model on its way through the compiler (teachers are Students too).

    Attributes:
        module: takes the inputs in order, returns one tensor, or a tuple in the order of ``outputs``.
        inputs, outputs: the signature; input shapes are those *after* preprocessing.
        lineage: JSON records that rebuild the structure: the model's table first, then one
            ``{"kind": <compress kind>, ...}`` record for each pass, replayed in order.
    """

    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    lineage: tuple[dict[str, Any], ...] = field(default=())

    def example(self, batch: int = 2, seed: int = 0) -> tuple[torch.Tensor, ...]:
        """Seeded example inputs (batch 2: with batch 1 the exporter would bake the batch in)."""
        generator = torch.Generator().manual_seed(seed)
        made = []
        for spec in self.inputs:
            shape = [batch, *(d or LENGTH for d in spec.shape[1:])]
            if spec.dtype == "float32":
                made.append(torch.randn(shape, generator=generator))
            else:
                made.append(torch.randint(0, spec.high or 2, shape, generator=generator))
        return tuple(made)

    def dynamic_shapes(self) -> tuple[Any, ...]:
        """Which sizes of each input are free, for ``torch.export``: the batch, and the length of sequences.

        One dict an input; inside one more tuple where the module takes ``*inputs``, as the exporter wants it.
        """
        batch, length = torch.export.Dim("batch", min=1, max=2**20), torch.export.Dim("length", min=2, max=2**14)
        free = tuple(
            {i: length if i else batch for i, size in enumerate(spec.shape) if size is None} for spec in self.inputs
        )
        takes = inspect.signature(self.module.forward).parameters.values()
        return (free,) if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in takes) else free

    def with_module(self, module: nn.Module, record: dict[str, Any] | None = None) -> Student:
        """The same signature around another module; ``record`` is appended to the lineage."""
        return replace(self, module=module, lineage=(*self.lineage, record) if record else self.lineage)

    @property
    def params(self) -> int:
        """How many numbers the parameters hold."""
        return sum(p.numel() for p in self.module.parameters())


def joined(found: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """(N, C) scores, those of several heads side by side."""
    return found if isinstance(found, torch.Tensor) else torch.cat(tuple(found), dim=1)


class Heads(nn.Module):
    """Gives a network's (N, C) scores as one output a head; a network that does so itself is left as it is.

    One linear layer over all classes is a linear layer for each head, computed at once.
    """

    def __init__(self, module: nn.Module, sizes: Sequence[int]) -> None:
        super().__init__()
        self.module = module
        self._sizes = list(sizes)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.module(*inputs)
        return tuple(found.split(self._sizes, dim=1)) if isinstance(found, torch.Tensor) else tuple(found)
