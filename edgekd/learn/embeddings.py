"""The table of token vectors in a network of texts: where it is, its rows in another order, fewer of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.base.preprocess import MASK, TOKENS
from edgekd.learn.student import Student

COUNTED = ("vocab_size", "max_position_embeddings")  # keys of the transformers library


def place(student: Student, where: str) -> int:
    """Which of a network's inputs are the token numbers.

    Raises:
        ExportError: the network reads no texts.
    """
    names = [spec.name for spec in student.inputs]
    if TOKENS not in names:
        raise ExportError("the student reads no texts", where=where, found=names, allowed=TOKENS)
    return names.index(TOKENS)


def numbers(student: Student, inputs: Sequence[Tensor], where: str) -> Tensor:
    """(N, L) token numbers among a network's inputs; raises as ``place`` does."""
    return inputs[place(student, where)]


def mask(student: Student, inputs: Sequence[Tensor]) -> Tensor | None:
    """(N, L), 1 for tokens and 0 for padding, where the network is told it."""
    return None if (at := mask_place(student)) is None else inputs[at]


def mask_place(student: Student) -> int | None:
    """Which of a network's inputs that is; None: it is told none."""
    return next((i for i, spec in enumerate(student.inputs) if spec.name == MASK), None)


def of_tokens(x: Tensor, mask: Tensor | None) -> Tensor:
    """(n, D) of (N, L, D) sequences, without padding; anything else, or without a mask, as it is.

    Args:
        mask: (N, L), see ``mask``.
    """
    return x[mask == 1] if mask is not None and x.ndim == 3 and x.shape[:2] == mask.shape else x


def tables(student: Student, inputs: Sequence[Tensor], where: str) -> dict[str, nn.Embedding]:
    """The embeddings of a student that are given the token numbers themselves, by path in its module.

    Args:
        inputs: of the module, of tokens that are not all alike.
        where: the pass, for errors.

    Raises:
        ExportError: there is none.
    """
    ids = numbers(student, inputs, where)
    paths = _given(student, inputs, where, lambda x: x.shape == ids.shape and torch.equal(x.long(), ids.long()))
    if not paths:
        known = [f"{path} of {part.num_embeddings:,}" for path, part in _embeddings(student)]
        raise ExportError(
            "no table is given the token numbers", where=where, found=", ".join(known) or None, allowed="an Embedding"
        )
    return paths


def positions(student: Student, inputs: Sequence[Tensor], where: str) -> dict[str, nn.Embedding]:
    """The embeddings that are given 0 to L - 1, by path: a row for each place in a text. There may be none."""
    places = torch.arange(numbers(student, inputs, where).shape[1])

    def are_places(x: Tensor) -> bool:
        return bool(x.ndim) and x.shape[-1] == len(places) and torch.equal(x.long(), places.expand_as(x))

    return _given(student, inputs, where, are_places)


def _embeddings(student: Student) -> list[tuple[str, nn.Embedding]]:
    return [(path, part) for path, part in student.module.named_modules() if isinstance(part, nn.Embedding)]


def _given(
    student: Student, inputs: Sequence[Tensor], where: str, is_wanted: Callable[[Tensor], bool]
) -> dict[str, nn.Embedding]:
    """The embeddings, by path, whose input is wanted when the network is given these inputs."""
    paths: dict[str, nn.Embedding] = {}

    def see(path: str, part: nn.Embedding, args: tuple[object, ...]) -> None:
        if args and isinstance(args[0], Tensor) and is_wanted(args[0]):
            paths[path] = part

    handles = [part.register_forward_pre_hook(partial(see, path)) for path, part in _embeddings(student)]
    was_training = student.module.training
    try:
        student.module.eval()
        with torch.no_grad():
            plugins.call_user(student.module, where, *inputs)
    finally:
        student.module.train(was_training)
        for handle in handles:
            handle.remove()
    return paths


@torch.no_grad()
def reorder(table: nn.Embedding, order: Sequence[int]) -> None:
    """Row i becomes what row ``order[i]`` was, in place; rows beyond ``order`` stay where they are."""
    index = torch.tensor([*order, *range(len(order), table.num_embeddings)])
    table.weight.copy_(table.weight[index])
    if table.padding_idx is not None:
        table.padding_idx = int((index == table.padding_idx).nonzero()[0])


def shorten(module: nn.Module, path: str, rows: int) -> None:
    """Keep the first rows of a table, in place; a configuration that counts them, under ``COUNTED``, counts these."""
    table = module.get_submodule(path)
    if not isinstance(table, nn.Embedding):
        raise ExportError("no table", where=path, found=type(table).__name__, allowed="an Embedding")
    before = table.num_embeddings
    table.weight = nn.Parameter(table.weight.detach()[:rows].clone(), table.weight.requires_grad)
    table.num_embeddings = rows
    if table.padding_idx is not None and table.padding_idx >= rows:
        table.padding_idx = None
    for part in module.modules():
        config = getattr(part, "config", None)
        for key in COUNTED:
            if getattr(config, key, None) == before:
                setattr(config, key, rows)
