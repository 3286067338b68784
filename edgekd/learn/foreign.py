"""Networks that another program runs than torch: they answer, and nothing of them trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from edgekd.base.errors import RecipeError


class Foreign(nn.Module):
    """A network without modules of torch's: its inner tensors have names, and no hook can be hung on them."""

    @property
    def params(self) -> int:
        """How many numbers it holds."""
        return 0

    @property
    def size_bytes(self) -> int:
        """Of its files."""
        return 0

    def layers(self) -> Sequence[str]:
        """The names of the inner tensors that can be tapped; none by default."""
        return ()

    @contextmanager
    def tapped(self, names: Sequence[str], filled: dict[str, Tensor]) -> Iterator[None]:
        """While the block runs, each forward pass fills a dict with inner tensors, by name."""
        yield


def params_of(module: nn.Module) -> int:
    """How many numbers a network holds: its parameters, and those of what another program runs in it."""
    outside = sum(part.params for part in module.modules() if isinstance(part, Foreign))
    return sum(p.numel() for p in module.parameters()) + outside


class Unasked(Foreign):
    """Stands in for a teacher that brings answers: there is no network to run, to look into or to make a student of."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def forward(self, *inputs: Tensor) -> Tensor:
        """Never answers.

        Raises:
            RecipeError: somebody asked.
        """
        raise RecipeError("has answers and no network that could be run", where=self._where)
