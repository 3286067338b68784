"""Data from the user's own code."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from edgekd.base import plugins
from edgekd.base.errors import FactoryError
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._batches import Gathered, from_splits, gathered, raw_fingerprint
from edgekd.tasks import CLASSES, Task


@dataclass(frozen=True)
class Python:
    """Calls ``factory(**args)``, which returns (train, validation, test).

    Attributes:
        factory: ``"package.module:callable"``; what it imports and returns is part of the cache key.
        args: keyword arguments.
        classes: names; without them the labels are numbered.
        label: where labels are a dict by name, of several heads, which of them.
    """

    factory: str
    args: dict[str, object] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    label: str = ""

    def fingerprint(self) -> str:
        """SHA-256 over what the factory returns: what it reads is unknown, so it is called."""
        return raw_fingerprint(self._gathered, "data.factory", self.classes)

    def load(self, task: Task = CLASSES) -> Dataset:
        """See ``_batches.from_splits`` for what the factory may return."""
        dataset = from_splits(self._gathered, "data.factory", self.classes, task=task)
        vars(self).pop("_gathered")  # the data set has it all, in one piece
        return dataset

    @functools.cached_property
    def _gathered(self) -> Gathered:
        """What the factory returns, gone through once: the fingerprint is of the very samples that are trained on."""
        function = plugins.load_object(self.factory, "data.factory")
        if not callable(function):
            raise FactoryError("not callable", where="data.factory", found=self.factory)
        given = gathered(plugins.call_user(function, "data.factory", **self.args), "data.factory")
        return given.of_head(self.label, "data.factory") if self.label else given
