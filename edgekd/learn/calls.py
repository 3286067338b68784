"""How a network is called: which of its forward's arguments gets which of the model's inputs.

Inputs that have names (the columns of a dict) go to the arguments of these names; where none is called so, and where
inputs have no names, they go in by their order. A forward of one argument is given several named inputs as one dict.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from edgekd.base.errors import DataError

P = inspect.Parameter


class Arguments(NamedTuple):
    """What a forward takes.

    Attributes:
        names: of its arguments, in order; ``required``: those without a default.
        by_order: how many of them may be given by position.
        collects: ``*args``; ``keywords``: ``**kwargs``.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    by_order: int
    collects: bool
    keywords: bool

    @classmethod
    def of(cls, module: nn.Module) -> Arguments:
        """Of a network; one whose forward says nothing (TorchScript) takes any number by order."""
        try:
            parameters = list(inspect.signature(module.forward).parameters.values())
        except (TypeError, ValueError):
            return cls((), (), 0, True, False)
        plain = [p for p in parameters if p.kind in (P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD)]
        named = [p for p in parameters if p.kind in (P.POSITIONAL_OR_KEYWORD, P.KEYWORD_ONLY)]
        kinds = {p.kind for p in parameters}
        return cls(
            tuple(p.name for p in named),
            tuple(p.name for p in named if p.default is P.empty),
            len(plain),
            P.VAR_POSITIONAL in kinds,
            P.VAR_KEYWORD in kinds,
        )

    def known(self, names: Sequence[str]) -> tuple[str, ...]:
        """The inputs that are called as arguments are, in the arguments' order."""
        return tuple(name for name in self.names if name in names)

    def takes_table(self, count: int) -> bool:
        """Whether several inputs without an argument of their name go in as one dict."""
        return count > 1 and self.by_order == 1 and not self.collects and len(self.names) == 1

    def takes_keywords(self, count: int) -> bool:
        """Whether inputs go in by name though no argument is called so: ``**kwargs``, which a wrapper hands on.

        Beside ``*args`` one input goes in by order; several might stand in another order than the inner network's.
        """
        return self.keywords and not self.names and (not self.collects or count > 1)

    def takes(self, names: Sequence[str], named: bool, where: str) -> tuple[str, ...]:
        """Which of the inputs a network takes, in the order in which it is given them.

        Args:
            names: of the inputs, in their order.
            named: whether these are the user's own; else they are numbers.

        Raises:
            DataError: an argument without a default for which there is no input, or another number of inputs.
        """
        if named and (known := self.known(names)):
            if missing := [name for name in self.required if name not in known]:
                hint = "call the column as the argument, or give the argument a default"
                raise DataError(
                    f"no column is called {missing[0]!r}, and forward needs it",
                    where=f"{where}.forward",
                    found=", ".join(names),
                    allowed=f"columns for {', '.join(self.names)}",
                    hint=hint,
                )
            return known
        by_name = named and (self.takes_keywords(len(names)) or self.takes_table(len(names)))
        least = len(self.required)
        if by_name or least <= len(names) <= self.by_order or (self.collects and len(names) >= least):
            return tuple(names)
        raise DataError(
            "another number of inputs than forward takes",
            where=f"{where}.forward",
            found=f"{len(names)} ({', '.join(names)})" if named else len(names),
            allowed=f"{least} to {self.by_order}: {', '.join(self.names)}",
        )


class Call(nn.Module):
    """Calls a network with its inputs by name, or as one dict, or with whole numbers for those that come as floats.

    Args:
        names: of the inputs, in the order in which they come; None: the network does not take it.
        form: ``"order"``, ``"names"`` or ``"table"``.
        whole: the inputs that are made int64.
    """

    def __init__(
        self, module: nn.Module, names: Sequence[str | None], form: str, whole: frozenset[int] = frozenset()
    ) -> None:
        super().__init__()
        self.module = module
        self._names, self._form, self._whole = tuple(names), form, whole

    def forward(self, *inputs: Tensor) -> object:
        values = [x.long() if i in self._whole else x for i, x in enumerate(inputs)]
        taken = {name: x for name, x in zip(self._names, values, strict=True) if name is not None}
        if self._form == "order":
            return self.module(*taken.values())
        return self.module(taken) if self._form == "table" else self.module(**taken)


def arranged(
    module: nn.Module, names: Sequence[str], named: bool, where: str, whole: frozenset[int] = frozenset()
) -> nn.Module:
    """A network that takes the model's inputs in their order: itself, where it does, else wrapped.

    Raises:
        DataError: as of ``Arguments.takes``.
    """
    arguments = Arguments.of(module)
    taken = arguments.takes(names, named, where)
    known = arguments.known(names) if named else ()
    if known:
        in_order = tuple(names) == arguments.names[: len(names)] and len(names) <= arguments.by_order
        form = "order" if in_order else "names"
    elif named and arguments.takes_keywords(len(names)):
        form = "names"
    else:
        form = "table" if named and arguments.takes_table(len(names)) else "order"
    if form == "order" and not whole:
        return module
    return Call(module, [name if name in taken else None for name in names], form, whole)
