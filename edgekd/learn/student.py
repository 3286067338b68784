"""A Student: a torch module, what goes in and out of it, and how to rebuild it without pickle."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from edgekd.base.errors import RecipeError
from edgekd.base.preprocess import MASK, Spec
from edgekd.learn.exporting import program_of
from edgekd.learn.foreign import params_of
from edgekd.learn.outputs import CONTAINERS, LOGITS, fields, is_auxiliary, leaves, row

LENGTH = 8  # of a sequence in an example
# What to write where an export fixes a size that an app chooses, or follows one side of a branch alone.
TENSORS_SO = "compute with torch alone, a number a sample, as x.amax((1, 2, 3), keepdim=True)"
NUMPY_SO = "forward must not leave torch: no numpy, .item() or .tolist(), but torch's own functions of the tensors"
COUNT_SO = "forward must not count with Python: x.shape[0], not int(...) or a loop over it; torch.where, not if"


Record = dict[str, Any]  # of a lineage: JSON, ``kind`` is the pass that made it, the other keys are that pass's own
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
    lineage: tuple[Record, ...] = field(default=())

    def example(self, batch: int = 2, seed: int = 0, length: int | None = None) -> tuple[torch.Tensor, ...]:
        """Seeded example inputs (batch 2: with batch 1 the exporter would bake the batch in).

        ``length``: of sequences; they have no padding.
        """
        generator = torch.Generator().manual_seed(seed)
        tensors = []
        for spec in self.inputs:
            free = length or min(LENGTH, spec.longest or LENGTH)
            shape = [batch, *(d or free for d in spec.shape[1:])]
            dtype = torch.float32 if spec.dtype == "float32" else torch.int64
            if spec.name == MASK:
                tensors.append(torch.ones(shape, dtype=dtype))
            elif spec.dtype == "float32" and spec.high is None:
                tensors.append(torch.randn(shape, generator=generator))
            else:
                tensors.append(torch.randint(0, spec.high or 2, shape, generator=generator, dtype=dtype))
        return tuple(tensors)

    def dynamic_shapes(self) -> tuple[Any, ...]:
        """Which sizes of each input are free, for ``torch.export``: the batch, and the length of sequences.

        One dict an input. Those that a ``forward(self, *inputs)`` collects are one parameter to ``torch.export``.
        """
        longest = min((spec.longest for spec in self.inputs if spec.longest), default=2**14)
        shortest = max((spec.shortest for spec in self.inputs), default=2)
        batch, length = (
            torch.export.Dim("batch", min=1, max=2**20),
            torch.export.Dim("length", min=shortest, max=longest),
        )
        shapes = tuple(
            {i: length if i else batch for i, size in enumerate(spec.shape) if size is None} for spec in self.inputs
        )
        kinds = [p.kind for p in inspect.signature(self.module.forward).parameters.values()]
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            return shapes
        named = kinds.index(inspect.Parameter.VAR_POSITIONAL)
        return (*shapes[:named], shapes[named:])

    def exported(self) -> ExportedProgram:
        """The module as ``torch.export`` writes it down, with the sizes left free that an app chooses.

        Raises:
            Exception: whatever ``torch.export`` raises.
        """
        return program_of(self.module, self.example(), self.dynamic_shapes())

    def with_module(self, module: nn.Module, record: Record | None = None) -> Student:
        """The same signature around another module; ``record`` is appended to the lineage."""
        return replace(self, module=module, lineage=(*self.lineage, record) if record else self.lineage)

    @property
    def params(self) -> int:
        """How many numbers the parameters hold."""
        return params_of(self.module)


def evaluated(module: nn.Module) -> nn.Module:
    """The same module, now in evaluation mode: a user's own ``train`` or ``eval`` may give nothing back."""
    module.eval()
    return module


def joined(scores: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """(N, K) scores, those of several heads side by side."""
    return scores if isinstance(scores, torch.Tensor) else torch.cat(tuple(scores), dim=1)


def of_training(outputs: Any, heads: Sequence[str]) -> torch.Tensor:
    """(N, K) scores, heads side by side, of what a network gives in training: there may be more than in evaluation.

    Auxiliary outputs are left out. Scores are those named as the heads are, or ``logits``; else the first.
    """
    if isinstance(outputs, torch.Tensor):
        return outputs
    parts = fields(outputs) or {}
    if all(name in parts for name in heads):
        return joined([_tensor(parts[name]) for name in heads])
    if len(heads) == 1 and LOGITS in parts:
        return joined([_tensor(parts[LOGITS])])
    main = [part for name, part in parts.items() if not is_auxiliary(name)] or list(parts.values())
    return joined([_tensor(part) for part in main[: len(heads)]] or [_tensor(None)])


def _tensor(part: object) -> torch.Tensor:
    """The first tensor in a part of what a network gave."""
    leaf = next(leaves(part), None)
    if leaf is None:
        kind = type(part).__name__
        raise RecipeError("in training forward gives no tensor", where="student", found=kind, allowed=CONTAINERS)
    return leaf.tensor


def are_probabilities(outputs: object, sizes: Sequence[int]) -> bool:
    """Whether a network's answers, one tensor or one a head, are softmaxed: rows >= 0 that sum to 1 within 1e-3."""
    parts = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    if not isinstance(parts, Sequence) or not all(isinstance(p, torch.Tensor) and p.ndim == 2 for p in parts):
        return False
    if len(parts) == 1 < len(sizes) and parts[0].shape[1] == sum(sizes) and not _sum_to_one(parts[0]):
        parts = parts[0].split(list(sizes), dim=1)
    multi_class = [part for part in parts if part.shape[1] > 1]
    return bool(multi_class) and all(_sum_to_one(part) for part in multi_class)


def _sum_to_one(rows: torch.Tensor) -> bool:
    if rows.is_complex():
        return False
    rows = rows.detach().float()
    return len(rows) > 0 and bool((rows >= 0).all()) and bool(((rows.sum(dim=1) - 1).abs() < 1e-3).all())


def as_float32(scores: torch.Tensor) -> torch.Tensor:
    """Scores in the type that every program beside a file reads; what has it already is given back as it is."""
    return scores if scores.dtype == torch.float32 else scores.float()


def as_logits(scores: torch.Tensor, training: bool, link: str = "softmax") -> torch.Tensor:
    """Logits whose ``link`` gives probabilities: log p of a softmax, log p - log(1 - p) of a sigmoid.

    Some networks leave their last function out in training: those are logits already.
    """
    if link == "sigmoid":
        is_share = not training or bool(((scores >= 0) & (scores <= 1)).all())
        return torch.logit(scores.float(), eps=2**-24) if is_share else scores
    if training and not _sum_to_one(scores):
        return scores
    return scores.float().clamp_min(torch.finfo(torch.float32).tiny).log()


class SplitHeads(nn.Module):
    """Gives a network's (N, K) scores as one output a head; a network that does so itself is left as it is.

    One linear layer over all classes is a linear layer for each head, computed at once. ``probabilities``: what makes
    the network's answers probabilities; "": they are none.

    Args:
        sizes: of the heads; names: of them, by which or in whose order a network gives several outputs.
        points: which of them are x and y of points.
    """

    def __init__(
        self, module: nn.Module, sizes: Sequence[int], names: Sequence[str] = (), points: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.module, self.probabilities = module, ""
        self._sizes, self._names, self._points = list(sizes), list(names), frozenset(points)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.module(*inputs)
        if isinstance(outputs, torch.Tensor):
            parts = tuple(outputs.split(self._sizes, dim=1))
        else:
            by_name = fields(outputs) or {}
            chosen = [by_name[name] for name in self._names if name in by_name] or list(by_name.values())
            parts = tuple(part for part in chosen if isinstance(part, torch.Tensor))
        if len(parts) == len(self._sizes):
            of_points = [name in self._points for name in self._names] or [False] * len(parts)
            parts = tuple(map(row, parts, self._sizes, of_points))
        make = partial(as_logits, training=self.training, link=self.probabilities) if self.probabilities else as_float32
        return tuple(make(part) for part in parts)
