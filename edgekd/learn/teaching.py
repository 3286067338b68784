"""Who teaches: whatever answers the samples of a split, and each view of the training samples.

A network is one kind of it. What other kinds there are, and where their answers come from, nobody who learns asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from torch import nn

from edgekd.learn import predictions, ranks
from edgekd.learn.answers import Answers, Logits
from edgekd.learn.feed import Feed

Span = tuple[int, int]


class TeacherOutputs(Protocol):
    """Whose answers a student learns from."""

    def view(self, view: int) -> Answers:
        """(N, K) logits over all training samples as view ``view`` shows them; NaN where there is no answer."""

    def split(self, split: str) -> Answers:
        """(N, K) logits over a split, without augmentation; of validation and test in memory."""


class AnswerSource(Protocol):
    """Who answers what is not kept yet.

    Attributes:
        sees_views: it is shown each view; else a sample has one answer, whichever view shows it.
        may_miss: it may have no answer to some samples: rows of NaN.
        of_shares: (absent: no) it gave labels, votes or probabilities, whose logits were made of these: one that is
            none at all, whose logit is -87, says no more than one that is small.
    """

    @property
    def sees_views(self) -> bool: ...

    @property
    def may_miss(self) -> bool: ...

    def view(self, view: int) -> Logits:
        """See ``TeacherOutputs``."""

    def split(self, split: str) -> Logits:
        """See ``TeacherOutputs``."""


@runtime_checkable
class PartSource(Protocol):
    """Who answers some samples of many, as often as wanted: all of a view need not be in memory at once."""

    def parts(self, split: str, view: int | None, spans: Sequence[Span]) -> Iterator[Logits]:
        """The (n, C) logits of each span of samples, in turn.

        Args:
            view: of the training samples; None: without augmentation.
            spans: (first sample, the one behind the last), rising. Where they begin at whole batches of 256 the answers
                are those of ``view`` and ``split``, bit by bit.
        """


@runtime_checkable
class HeldSource(Protocol):
    """Who holds every answer, in memory or in a file, and gives any again at no cost; on each of several ranks."""

    def held(self, split: str) -> Answers:
        """(N, K) logits over a split, without augmentation; NaN where there is no answer."""


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
        with predictions.accelerated(self.module):
            return predictions.predict_view(self.module, self.feed, view)

    def split(self, split: str) -> Logits:
        """See ``TeacherOutputs``."""
        with predictions.accelerated(self.module):
            return predictions.predict(self.module, self.feed, split)

    def parts(self, split: str, view: int | None, spans: Sequence[Span]) -> Iterator[Logits]:
        """See ``PartSource``."""
        with predictions.accelerated(self.module):
            yield from predictions.predict_parts(self.module, self.feed, split, view, spans)


@dataclass(frozen=True)
class _AskedOnce:
    """Who only answers is asked by the first of several ranks, which tells the others: an answer may be paid for."""

    source: AnswerSource

    @property
    def sees_views(self) -> bool:
        return self.source.sees_views

    @property
    def may_miss(self) -> bool:
        return self.source.may_miss

    def view(self, view: int) -> Logits:
        return _told(lambda: self.source.view(view))

    def split(self, split: str) -> Logits:
        return _told(lambda: self.source.split(split))


def asked_once(source: AnswerSource | None) -> AnswerSource | None:
    """The source as several ranks ask it; None stays None."""
    return source if source is None or ranks.count() == 1 or isinstance(source, HeldSource) else _AskedOnce(source)


def _told(ask: Callable[[], Logits]) -> Logits:
    """(N, K) what the first rank is answered."""
    if ranks.count() == 1:
        return ask()

    def packed() -> dict[str, bytes]:
        logits = np.ascontiguousarray(ask(), np.float32)
        return {"logits": logits.tobytes(), "columns": str(logits.shape[1]).encode()}

    files = ranks.from_first(packed) or {}
    return np.frombuffer(files["logits"], np.float32).reshape(-1, int(files["columns"]))
