"""The networks that a user brings, asked how they read the data: which columns, and whether whole numbers as such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import FactoryError
from edgekd.learn import nets
from edgekd.learn.calls import Arguments, arranged


class NetworkReader:
    """A ``Reader`` of ``learn/data/_inputs.py``. The network is copied before it is tried, and only read.

    Args:
        where: whose it is: ``"student"`` or ``"teacher"``.
    """

    def __init__(self, module: nn.Module, where: str) -> None:
        self.where = where
        self._module = module

    def takes(self, names: Sequence[str], named: bool) -> tuple[str, ...]:
        """Which columns it takes, in the order in which it is given them."""
        return self._arguments.takes(names, named, self.where)

    def arguments(self, count: int) -> tuple[str, ...]:
        """The names of its first arguments."""
        return self._arguments.names[:count]

    def runs(self, inputs: Mapping[str, AnyArray], named: bool) -> bool:
        """Whether it answers to such inputs."""
        try:
            self._run(inputs, named)
        except FactoryError:
            return False
        return True

    def sizes(self, inputs: Mapping[str, AnyArray], named: bool) -> dict[str, int]:
        """The rows of the embedding that an input's numbers go into."""
        tensors = {name: torch.as_tensor(x) for name, x in inputs.items()}
        rows: dict[str, int] = {}
        with _embeddings(self._copy, tensors, rows), suppress(FactoryError):
            self._run(inputs, named)
        return rows

    def _run(self, inputs: Mapping[str, AnyArray], named: bool) -> None:
        module = arranged(self._copy, tuple(inputs), named, self.where)
        with nets.evaluating(module), torch.no_grad():
            plugins.call_user(module, self.where, *(torch.tensor(x) for x in inputs.values()))

    @cached_property
    def _copy(self) -> nn.Module:
        return nets.copied(self._module, self.where).float()

    @cached_property
    def _arguments(self) -> Arguments:
        return Arguments.of(nets.unwrapped(self._module))


@contextmanager
def _embeddings(module: nn.Module, inputs: Mapping[str, Tensor], rows: dict[str, int]) -> Iterator[None]:
    """While the block runs, keep how many rows each embedding has that is given an input as it is."""

    def keep(part: nn.Module, given: tuple[Tensor, ...]) -> None:
        for name, x in inputs.items():
            if given and given[0].shape == x.shape and torch.equal(given[0].long(), x.long()):
                rows[name] = min(int(part.num_embeddings), rows.get(name, int(part.num_embeddings)))  # type: ignore[arg-type]

    hooks = [part.register_forward_pre_hook(keep) for part in module.modules() if isinstance(part, nn.Embedding)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
