"""A model from the user's own code."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from edgekd.base import plugins, watch
from edgekd.base.errors import FactoryError


@dataclass(frozen=True)
class Python:
    """Calls ``factory(**args)``, which returns an ``nn.Module``.

    Attributes:
        factory: ``"package.module:callable"``; what it imports and opens is part of the cache key.
        args: keyword arguments.
    """

    factory: str
    args: dict[str, object] = field(default_factory=dict)

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """What the factory returns.

        Raises:
            FactoryError: not found, raised, or returned something else.
        """
        function = plugins.load_object(self.factory, "model.factory")
        if not callable(function):
            raise FactoryError("not callable", where="model.factory", found=self.factory)
        with watch.watching(watch.owner(self.factory, self.args)):
            module = plugins.call_user(function, "model.factory", **self.args)
        if not isinstance(module, nn.Module):
            raise FactoryError(
                "the factory must return an nn.Module", where="model.factory", found=type(module).__name__
            )
        return module
