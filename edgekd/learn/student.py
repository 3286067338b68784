"""A Student: a torch module, what goes in and out of it, and how to rebuild it without pickle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. ``shape`` has ``None`` for a dynamic dimension; the first is always the batch."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


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
        shapes = [[batch, *(d or 2 for d in spec.shape[1:])] for spec in self.inputs]
        return tuple(torch.randn(shape, generator=generator) for shape in shapes)

    def with_module(self, module: nn.Module, record: dict[str, Any] | None = None) -> Student:
        """The same signature around another module; ``record`` is appended to the lineage."""
        return replace(self, module=module, lineage=(*self.lineage, record) if record else self.lineage)

    @property
    def params(self) -> int:
        """How many numbers the parameters hold."""
        return sum(p.numel() for p in self.module.parameters())
