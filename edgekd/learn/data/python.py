"""Data from the user's own code."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from edgekd.base import plugins
from edgekd.base.errors import FactoryError
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._batches import fingerprint, from_splits


@dataclass(frozen=True)
class Python:
    """Calls ``factory(**args)``, which returns (train, validation, test).

    Attributes:
        factory: ``"package.module:callable"``; what it imports and returns is part of the cache key.
        args: keyword arguments.
        classes: names; without them the labels are numbered.
    """

    factory: str
    args: dict[str, object] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None

    def fingerprint(self) -> str:
        """SHA-256 over what the factory returns: what it reads is unknown, so it is called."""
        return fingerprint(self._dataset)

    def load(self) -> Dataset:
        """See ``_batches.from_splits`` for what the factory may return."""
        return self._dataset

    @functools.cached_property
    def _dataset(self) -> Dataset:
        function = plugins.load_object(self.factory, "data.factory")
        if not callable(function):
            raise FactoryError("not callable", where="data.factory", found=self.factory)
        return from_splits(plugins.call_user(function, "data.factory", **self.args), "data.factory", self.classes)
