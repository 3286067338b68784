"""Which tensor of what a network returns holds the scores of its classes.

Networks of libraries return dicts, dataclasses (``ModelOutput``), named tuples and tuples, one inside the other, with
losses, hidden states, caches and auxiliary scores beside the logits. Here the logits are found in all of them alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from edgekd.base.errors import RecipeError

LOGITS = "logits"
DEEPEST = 4  # containers inside containers that are looked into
LISTED = 8  # outputs that an error or a note names
CONTAINERS = "a tensor, a dict or tuple of them, or an object with logits"


class Leaf(NamedTuple):
    """A tensor in what a network returned, and the names and positions that lead to it."""

    path: tuple[str | int, ...]
    tensor: Tensor

    @property
    def name(self) -> str:
        """``"logits"``, ``"hidden_states.0"``; ``"0"`` of a tuple."""
        return ".".join(map(str, self.path))


def fields(value: object) -> Mapping[str | int, object] | None:
    """The parts of a container by name, or by position where it has none; None: it is no container.

    A dict or ``ModelOutput``, a dataclass, a named tuple, a list or tuple, or any object with an attribute ``logits``.
    """
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    if not isinstance(value, Tensor) and hasattr(value, LOGITS):
        return {LOGITS: getattr(value, LOGITS), **getattr(value, "__dict__", {})}
    return None


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[Leaf]:
    """Every tensor in what a network returned, in its order."""
    if isinstance(value, Tensor):
        yield Leaf(path, value)
    elif len(path) < DEEPEST and (parts := fields(value)) is not None:
        for name, part in parts.items():
            yield from leaves(part, (*path, name))


def logits(outputs: object, columns: int | None, where: str, *, points: bool = False, allowed: str = "") -> Leaf:
    """The scores among what a network returned.

    What is called ``logits``; else the only tensor, or the only one of (N, columns), or where none is one that ``row``
    makes so; of several of that shape the first of a list or tuple, or the only one whose name does not begin with
    ``aux``. A scalar loss, hidden states and caches are of another shape, and auxiliary scores come behind.

    Args:
        columns: how many scores a sample has; None: any number.
        where: whose output it is, for errors.
        points: the scores are x and y of points.
        allowed: in words what the network may give, where that is more than one tensor of scores.

    Raises:
        RecipeError: there is no tensor, none of that shape, or names alone tell several of that shape apart.
    """
    every = list(leaves(outputs))
    if not every:
        kind = f"{type(outputs).__module__}.{type(outputs).__qualname__}".removeprefix("builtins.")
        raise RecipeError("its forward gives no tensor", where=where, found=kind, allowed=CONTAINERS)
    named = [leaf for leaf in every if LOGITS in leaf.path]
    rows = [leaf for leaf in named or every if is_scores(leaf.tensor, columns)]
    fitting = rows or [leaf for leaf in named or every if is_scores(row(leaf.tensor, columns, points), columns)]
    if not fitting and (named or len(every) == 1):
        return (named or every)[0]  # its shape is told by who asks
    if not fitting:
        shape = f"one called {LOGITS}, or of (N, {columns if columns is not None else 'classes'})"
        raise RecipeError(
            "none of its outputs is one of scores", where=where, found=listed(every), allowed=allowed or shape
        )
    first, *others = [leaf for leaf in fitting if not is_auxiliary(*leaf.path)] or fitting
    if any(_told_by_name(outputs, first, other) for other in others):
        allowed = f"one called {LOGITS}, one of (N, {columns}) alone, or a tuple with the scores first"
        hint = "of a teacher, teacher.output names it" if where.startswith("teacher") else None
        raise RecipeError(
            "several of its outputs may be the scores", where=where, found=listed(fitting), allowed=allowed, hint=hint
        )
    return first


def is_scores(tensor: Tensor, columns: int | None) -> bool:
    """Whether a tensor is (N, columns)."""
    return tensor.ndim == 2 and (columns is None or tensor.shape[1] == columns)


def is_auxiliary(*path: str | int) -> bool:
    """Whether an output's name says that it helps in training alone: ``aux`` beside ``out``, ``aux_logits``."""
    return any(str(name).startswith("aux") for name in path)


def row(scores: Tensor, columns: int | None, points: bool = False) -> Tensor:
    """(N, columns) of scores in another form of it, which says the same: (N,) where a sample has one score, axes of
    length 1 as in (N, 1, 1, C) and (N, C, 1, 1), and (N, K, 2) of points. What is none of these stays as it is.
    """
    if scores.ndim < 2:
        return scores.unsqueeze(1) if scores.ndim == 1 and columns == 1 else scores
    if scores.ndim == 2:
        return scores
    sizes = [size for size in scores.shape[1:] if size != 1] or [1]
    is_row = len(sizes) == 1 and columns in (None, sizes[0])
    is_pairs = points and columns is not None and sizes == [columns // 2, 2]
    return scores.flatten(1) if is_row or is_pairs else scores


def listed(those: list[Leaf]) -> str:
    """Names and shapes, for errors."""
    shown = [f"{leaf.name} {tuple(leaf.tensor.shape)}" for leaf in those[:LISTED]]
    return ", ".join(shown) + (f" and {len(those) - LISTED} more" if len(those) > LISTED else "")


def _told_by_name(outputs: object, one: Leaf, other: Leaf) -> bool:
    """Whether two outputs part ways in a container that has names and no order of its own."""
    value = outputs
    for mine, theirs in zip(one.path, other.path, strict=False):
        if mine != theirs:
            return not isinstance(value, list | tuple)
        value = (fields(value) or {})[mine]
    return False
