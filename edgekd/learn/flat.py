"""A network's scores as one flat row a sample, whatever shape its task gives them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.outputs import fields, row
from edgekd.tasks import Heads

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """What a network has to answer.

    Attributes:
        heads: its outputs, each with a task and a natural shape.
        texts: it reads texts, (N, L) token numbers and (N, L) of 1 for tokens and 0 for padding: an output that has
            a row for each token has L of them, of which a sample of ``heads.shapes`` has the most that there are.
        joined: several outputs side by side as one, as teachers answer.
    """

    heads: Heads
    texts: bool = False
    joined: bool = False

    @property
    def is_flat(self) -> bool:
        """Whether every output is a flat row by itself."""
        return all(len(shape) == 1 for shape in self.heads.shapes.values())

    def flat(self, module: nn.Module, by_head: bool = False) -> nn.Module:
        """The network, wrapped where it does not answer in flat rows by itself; ``by_head``: it gives one a head.

        A teacher that answers in flat rows may give all heads' in one, or one a head, which are joined then.
        """
        if self.is_flat and not ((by_head or self.joined) and len(self.heads) > 1):
            return module
        return FlatScores(module, self.heads.shapes, self.texts, self.joined, self.points)

    @property
    def points(self) -> list[str]:
        """The outputs whose numbers are x and y of points."""
        return [name for name, task in self.heads.tasks.items() if task.geometry == "points"]


def in_words(heads: Heads, texts: bool = False) -> str:
    """What a network is to give, for errors: ``(N, 2, 16, 16)``; of several outputs by name.

    Args:
        texts: see ``Form``.
    """
    words = {}
    for name, shape in heads.shapes.items():
        is_by_token = texts and heads.tasks[name].dense
        sizes = ["L" if is_by_token and not axis else str(size) for axis, size in enumerate(shape)]
        words[name] = f"(N, {', '.join(sizes)})"
        if heads.tasks[name].geometry == "points":
            words[name] += f" or (N, {shape[0] // 2}, 2)"
    if len(words) == 1:
        return next(iter(words.values()))
    listed = ", ".join(f"{name} {shape}" for name, shape in words.items())
    return f"{listed}, in this order, or a dict by these names"


class FlatScores(nn.Module):
    """Flattens (N, *shape) outputs of a network to (N, W); what has another shape is given on as it is.

    Where tokens are padding, or there are fewer than a sample may have, all scores are 0: a file has one size of
    output whatever the length of a text, and what is said of no token is the same on every runtime.

    Args:
        module: gives a tensor, or several by name or in the order of the shapes, see ``outputs.fields``.
        shapes: by name.
        texts, joined: see ``Form``.
        points: the outputs whose numbers are x and y of points.
    """

    def __init__(
        self,
        module: nn.Module,
        shapes: Mapping[str, Shape],
        texts: bool,
        joined: bool = False,
        points: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.module = module
        self._shapes, self._texts, self._joined = dict(shapes), texts, joined and len(shapes) > 1
        self._points = frozenset(points)

    def forward(self, *inputs: Tensor) -> object:
        """What the network gives, flat: a tensor, a dict by name, or a tuple."""
        mask = inputs[1] if self._texts else None
        given, shapes = self.module(*inputs), list(self._shapes.values())
        if isinstance(given, Tensor):
            return _flat(given, shapes[0], mask, bool(self._points)) if len(shapes) == 1 else given
        parts: dict[str | int, Tensor] = dict(fields(given) or {})  # type: ignore[arg-type]
        names = list(self._shapes)
        for name, part in parts.items():
            in_order = names[name] if isinstance(name, int) and name < len(names) else str(name)
            head = names[0] if len(names) == 1 else in_order
            if head in self._shapes and isinstance(part, Tensor):
                parts[name] = _flat(part, self._shapes[head], mask, head in self._points)
        by_name, has_order = all(name in parts for name in names), all(isinstance(name, int) for name in parts)
        rows = [parts[name] for name in names] if by_name else [*parts.values()] if has_order else []
        if self._joined and _are_rows(rows, shapes):
            return torch.cat(rows, dim=1)
        return tuple(parts.values()) if has_order else parts


def _are_rows(parts: Collection[object], shapes: Sequence[Shape]) -> bool:
    """Whether outputs are one a head, in the order of these."""
    widths = [math.prod(shape) for shape in shapes]
    return [tuple(part.shape[1:]) if isinstance(part, Tensor) else None for part in parts] == [(w,) for w in widths]


def _flat(scores: Tensor, shape: Shape, mask: Tensor | None, points: bool) -> Tensor:
    """(N, W) of (N, *shape) scores, whatever axes of length 1 there are; of texts (N, L, ...) with at most shape[0]
    tokens.
    """
    if len(shape) == 1:
        return row(scores, shape[0], points)
    if mask is None:
        return scores.flatten(1) if scores.ndim > 2 and _long(scores.shape[1:]) == _long(shape) else scores
    if scores.ndim != len(shape) + 1 or scores.shape[2:] != torch.Size(shape[1:]):
        return scores
    of_tokens = scores * mask.to(scores.dtype)[(..., *[None] * (len(shape) - 1))]
    rest = [0, 0] * (len(shape) - 1)
    # By constants, so that OpenVINO knows the size of the output: of a free one padding would be cropped.
    return F.pad(of_tokens, [*rest, 0, shape[0]])[:, : shape[0]].flatten(1)


def _long(shape: Sequence[int]) -> list[int]:
    """The sizes of the axes that are longer than 1."""
    return [size for size in shape if size != 1]
