"""``torch.export`` of networks as people write them, with the sizes left free that an app chooses."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Iterator, Sized
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn import functional
from torch.nn.modules import transformer

BAGS = ("mean", "sum")
_REFUSED = (torch._dynamo.exc.TorchDynamoException, RuntimeError, ValueError, AssertionError)


def program_of(module: nn.Module, example: tuple[Tensor, ...], sizes: tuple[object, ...]) -> ExportedProgram:
    """The module as ``torch.export`` writes it down.

    Where a size that should be free is fixed, it is tried again in two ways. ``x[:, 1:]`` of two tokens is one: torch
    refuses the length for that, unless it is told not to ask whether a size is one; it is told so only then, since that
    would fix the batch of recurrent layers and of ``nn.MultiheadAttention`` (torch 2.13). And ``len(x)`` makes a number
    of a size, unless it is ``x.shape[0]``.

    Args:
        example: inputs, of a batch of two or more.
        sizes: which of their sizes are free, as ``torch.export`` takes it.

    Raises:
        Exception: whatever ``torch.export`` raises at first.
    """
    with masks_as_given(), bags_looked_up():
        try:
            return torch.export.export(module, example, dynamic_shapes=sizes)
        except torch._dynamo.exc.UserError as refused:
            if "Constraints violated" not in str(refused):
                raise
            oblivious = torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
            for context in (oblivious, _len_is_a_size()):
                with context, suppress(*_REFUSED):
                    return torch.export.export(module, example, dynamic_shapes=sizes)
            raise


@contextmanager
def _len_is_a_size() -> Iterator[None]:
    """Inside, ``len`` of a tensor is its first size as a trace has it, which Python's own would take for a number."""
    of_anything = builtins.len

    def of_tensors(value: Sized) -> int:
        return value.shape[0] if isinstance(value, Tensor) and value.dim() else of_anything(value)

    with patch.object(builtins, "len", of_tensors):
        yield


@contextmanager
def masks_as_given() -> Iterator[None]:
    """Inside, ``nn.TransformerEncoder`` does not look whether a mask is the causal one, to leave it out: no graph can
    branch on what a tensor holds. With the mask it computes the same.
    """

    def is_told(mask: Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:
        return is_causal is True

    with patch.object(transformer, "_detect_is_causal_mask", is_told):
        yield


@contextmanager
def bags_looked_up() -> Iterator[None]:
    """Inside, ``functional.embedding_bag`` of (N, T) indices looks the rows up, then adds them: ``nn.EmbeddingBag``.

    The operator is exported as a loop over what each bag begins with, which OpenVINO does not read; of rows an int8
    table can be read.
    """
    as_ever = functional.embedding_bag
    order = tuple(inspect.signature(as_ever).parameters)

    def in_rows(*args: Any, **kwargs: Any) -> Tensor:
        given: dict[str, Any] = dict(zip(order, args, strict=False)) | kwargs
        index, padding, weights = given["input"], given.get("padding_idx"), given.get("per_sample_weights")
        if index.dim() != 2 or given.get("max_norm") is not None or given.get("mode", "mean") not in BAGS:
            return as_ever(*args, **kwargs)
        rows = functional.embedding(index, given["weight"])
        rows = rows if weights is None else rows * weights.unsqueeze(-1)
        summed = given.get("mode") == "sum"
        if padding is None:
            return rows.sum(1) if summed else rows.mean(1)
        kept = (index != padding).unsqueeze(-1)
        total = (rows * kept).sum(1)
        return total if summed else total / kept.sum(1).clamp(min=1)

    with patch.object(functional, "embedding_bag", in_rows):
        yield
