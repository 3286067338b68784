"""Who teaches: whatever answers the samples of a split, and each view of the training samples.

A network is one kind of it. What other kinds there are, and where their answers come from, nobody who learns asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import nn

from edgekd.learn import train
from edgekd.learn.feed import Feed
from edgekd.learn.train import Logits


class TeacherOutputs(Protocol):
    """Whose answers a student learns from."""

    def view(self, view: int) -> Logits:
        """(N, C) logits over all training samples as view ``view`` shows them; NaN where there is no answer."""

    def split(self, split: str) -> Logits:
        """(N, C) logits over a split, without augmentation."""


class AnswerSource(TeacherOutputs, Protocol):
    """Who answers what is not kept yet.

    Attributes:
        sees_views: it is shown each view; else a sample has one answer, whichever view shows it.
        may_miss: it may have no answer to some samples: rows of NaN.
    """

    @property
    def sees_views(self) -> bool: ...

    @property
    def may_miss(self) -> bool: ...


@dataclass(frozen=True)
class NetworkOutputs:
    """What a torch network answers, computed each time it is asked for.

    Attributes:
        feed: the network's own view of the data.
    """

    module: nn.Module
    feed: Feed
    sees_views: ClassVar[bool] = True
    may_miss: ClassVar[bool] = False

    def view(self, view: int) -> Logits:
        """See ``TeacherOutputs``."""
        with train.accelerated(self.module):
            return train.predict_view(self.module, self.feed, view)

    def split(self, split: str) -> Logits:
        """See ``TeacherOutputs``."""
        with train.accelerated(self.module):
            return train.predict(self.module, self.feed, split)
