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


def logits(outputs: object, columns: int | None, where: str) -> Leaf:
    """The scores among what a network returned.

    What is called ``logits``; else the only tensor, or the only one of (N, columns); of several of that shape the first
    of a list or tuple. A scalar loss, hidden states and caches are of another shape, and auxiliary scores come behind.

    Args:
        columns: how many scores a sample has; None: any number.
        where: whose output it is, for errors.

    Raises:
        RecipeError: there is no tensor, none of that shape, or names alone tell several of that shape apart.
    """
    every = list(leaves(outputs))
    if not every:
        kind = f"{type(outputs).__module__}.{type(outputs).__qualname__}".removeprefix("builtins.")
        raise RecipeError("its forward gives no tensor", where=where, found=kind, allowed=CONTAINERS)
    named = [leaf for leaf in every if LOGITS in leaf.path]
    fitting = [leaf for leaf in named or every if is_scores(leaf.tensor, columns)]
    if not fitting and (named or len(every) == 1):
        return (named or every)[0]  # its shape is told by who asks
    if not fitting:
        shape = f"one called {LOGITS}, or of (N, {columns if columns is not None else 'classes'})"
        raise RecipeError("none of its outputs is one of scores", where=where, found=listed(every), allowed=shape)
    first, *others = fitting
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
