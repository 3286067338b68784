"""``torch.export`` of networks as people write them, with the sizes left free that an app chooses."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator, Sized
from contextlib import contextmanager, suppress
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn import functional
from torch.nn.modules import transformer

MULTIPLIED = 25  # rows: of more, torch computes Euclidean distances by a product


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
    with rewritten():
        try:
            return torch.export.export(module, example, dynamic_shapes=sizes)
        except torch._dynamo.exc.UserError as refused:
            if "Constraints violated" not in str(refused):
                raise
            again = (torch._dynamo.exc.TorchDynamoException, RuntimeError, ValueError, AssertionError)
            oblivious = torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
            for context in (oblivious, _len_is_a_size()):
                with context, suppress(*again):
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
def rewritten() -> Iterator[None]:
    """Inside, what torch has for masks, bags and distances computes the same by operators that are exported.

    Of each operator the lines of Python that called it are not looked up: a tenth of the time, and nobody reads them.
    """
    no_lines = patch.object(torch.fx.config, "do_not_emit_stack_traces", True)
    with masks_as_given(), bags_looked_up(), distances_of_any_batch(), no_lines:
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

    def in_rows(
        input: Tensor,  # as torch calls it
        weight: Tensor,
        offsets: Tensor | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        per_sample_weights: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Tensor:
        if input.dim() != 2 or max_norm is not None or mode not in ("mean", "sum"):
            order = (input, weight, offsets, max_norm, norm_type, scale_grad_by_freq, mode, sparse)
            return as_ever(*order, per_sample_weights, include_last_offset, padding_idx)
        rows = functional.embedding(input, weight)
        rows = rows if per_sample_weights is None else rows * per_sample_weights.unsqueeze(-1)
        if padding_idx is None:
            return rows.sum(1) if mode == "sum" else rows.mean(1)
        words = (input != padding_idx).unsqueeze(-1)
        total = (rows * words).sum(1)
        return total if mode == "sum" else total / words.sum(1).clamp(min=1)

    with patch.object(functional, "embedding_bag", in_rows):
        yield


@contextmanager
def distances_of_any_batch() -> Iterator[None]:
    """Inside, ``torch.cdist`` is made of operators that are exported, which its own is not.

    For Euclidean distances it takes the way that suits the second matrix: torch's own choice counts the first one's
    rows, too, which are the batch where distances to prototypes are asked for, and so fixes it.
    """

    def of_rows(
        x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
    ) -> Tensor:
        is_large = x2.shape[-2] > MULTIPLIED and compute_mode.endswith("if_necessary")
        if p == 2 and (is_large or compute_mode == "use_mm_for_euclid_dist"):
            lengths = x1.square().sum(-1, keepdim=True) + x2.square().sum(-1).unsqueeze(-2)
            return _root(lengths - 2 * (x1 @ x2.transpose(-1, -2)))
        difference = (x1.unsqueeze(-2) - x2.unsqueeze(-3)).abs()
        if p == 2:
            return _root(difference.square().sum(-1))
        if p in (0, 1):
            return (difference if p else (difference != 0).to(x1.dtype)).sum(-1)
        return difference.amax(-1) if math.isinf(p) else difference.pow(p).sum(-1).pow(1 / p)

    with patch.object(torch, "cdist", of_rows):
        yield


def _root(squares: Tensor) -> Tensor:
    """The root, without a slope at 0, where that of ``sqrt`` is infinite."""
    return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()
