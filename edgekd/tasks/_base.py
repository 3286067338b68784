"""What a task is: the meaning of one output of a network, kept in one place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import EdgekdError
from edgekd.tasks._classes import At, Numbered

Scores = NDArray[np.float32]
Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
Decided = Any  # what ``decode`` gives: a dataclass of the task's own
Record = dict[str, Any]  # a decision as it is written down: JSON
ROUNDED = 1e-5  # of six digits
HUB_OF_CLASSES = {
    "text": "text-classification",
    "ink": "image-classification",
    "picture": "image-classification",
    "sound": "audio-classification",
    "numbers": "tabular-classification",
}


def share_of_range(lead: AnyArray, scores: Scores) -> Scores:
    """(N,) leads as a share of the range of all scores."""
    return (lead / np.float32(max(float(scores.max() - scores.min()), 1e-12))).astype(np.float32)


class Off(NamedTuple):
    """A number of a decision that was written down: where, what it is now and was, and their distance (1: allowed)."""

    place: str
    now: float
    before: float
    distance: float


class Task(ABC):
    """One file of ``tasks/``: a frozen dataclass whose fields are the keys of the recipe's ``task``.

    Scores are (N, K) float32: what one output says to N samples, of K classes, labels or values. What is not overridden
    here is of values: numbers that decide nothing, each held as it is.
    """

    axes: ClassVar[tuple[str, ...]]
    """What each axis of the output counts: ``batch``, then ``class``, ``label`` or ``value``."""
    hub: ClassVar[Mapping[str, str]]
    """What model hubs call the task, by the kind of sample: ``text``, ``ink``, ``picture``, ``sound``, ``numbers``."""
    metrics: ClassVar[tuple[str, ...]]
    """The built-in metrics that suit it, the default first."""
    losses: ClassVar[tuple[str, ...]]
    """The built-in losses on outputs that suit it."""
    label_loss: ClassVar[str]
    """The loss by which a teacher that is trained here learns its labels."""
    program: ClassVar[str]
    """How the programs of a bundle decode it: ``class``, ``labels`` or ``values``; "": not at all."""
    holds: ClassVar[str]
    """What an output holds, with ``{}`` for how many."""
    prints: ClassVar[str]
    """What of ``answer``, that ``predict`` gave, an app would print first."""
    limits: ClassVar[tuple[str, ...]] = ()
    """What a model card says that such an answer can't tell, a sentence each."""
    link: ClassVar[Literal["softmax", "sigmoid", ""]] = ""
    """What makes probabilities of scores: networks that end in it already are taken as well; "": they are none."""
    row_labels: ClassVar[bool] = True
    """Whether the label of a sample is a row of K numbers, and not one."""
    unit: ClassVar[str] = ""
    """Of ``distance``."""
    certainties: ClassVar[tuple[str, ...]] = ()
    """By which numbers of its scores an answer can be told to be sure, ``margin`` first; (): it can't."""

    @property
    def exclusive(self) -> bool:
        """Whether the scores are of classes of which one is right."""
        return self.link == "softmax"

    @abstractmethod
    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """The labels of each split as numbers, and the names of the output's columns.

        Args:
            labels: by split, as they come; ``train`` is one of them.
            names: of the columns; None: as the labels tell.
            at: names the place of a split's sample, for errors.
            where: names the data.

        Raises:
            DataError: labels of another kind than the task's; names the sample.
        """

    @abstractmethod
    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """Raise DataError where labels, numbers already, are none of ``count`` samples and ``size`` columns."""

    def check_learned(  # noqa: B027  # where there is nothing to check
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """Raise DataError where nothing can be learned of the training labels, or of one of ``names``.

        Args:
            labels: by split, checked.
            every: each of the names must be learned.
        """

    def check_size(  # noqa: B027  # most have no numbers of their own
        self, size: int, where: str, error: type[EdgekdError]
    ) -> None:
        """Raise ``error`` where the task's own keys are of another number of columns than ``size``."""

    def fitted(self, labels: AnyArray | None) -> Task:
        """The task, knowing the training labels."""
        return self

    @property
    def scale(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """(mean, standard deviation) of each column, by which losses see scores and labels; None: as they are."""
        return None

    @property
    def constants(self) -> dict[str, float | list[float]]:
        """Numbers that its programs need, by name."""
        return {}

    @property
    def chooses(self) -> bool:
        """Whether thresholds of its labels are chosen on validation, of the files that ship."""
        return False

    def decided_at(self, thresholds: Sequence[float]) -> Task:
        """The task with a threshold for each label, 0 < t < 1; of one that ``chooses``."""
        raise NotImplementedError(f"{type(self).__name__} has no thresholds")

    def judged(self, scores: AnyArray) -> AnyArray:
        """(N, K) scores as metrics see them: of labels, those apply whose score is 0 or above."""
        return scores

    def answers(self, scores: AnyArray) -> AnyArray:
        """What scores say, as labels are written: what counts as the label where only a teacher speaks."""
        return scores

    def picks(self, labels: AnyArray, size: int) -> Hits:
        """(N, size) which of the columns labels or answers name; of values none."""
        return np.zeros((len(labels), size), bool)

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """(N,) whether two nets' scores are one decision; None: nothing is decided."""
        return None

    def lead(self, scores: AnyArray) -> AnyArray:
        """(N,) how far the scores are from another decision, >= 0, in their own unit."""
        return np.abs(scores).max(axis=1)

    def certainty(self, scores: AnyArray, by: str, temperature: float) -> Floats:
        """(N,) how sure a net is of its answers, the larger the surer.

        Args:
            by: one of ``certainties``; ``margin`` is ``lead``.
            temperature: scores are divided by it before they become probabilities.
        """
        return np.asarray(self.lead(scores.astype(np.float64)), np.float64)

    def margin(self, scores: Scores) -> Scores:
        """(N,) ``lead`` as a share of the range of all scores; 1 where nothing is decided."""
        return np.ones(len(scores), np.float32)

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """(N,) another decision, where ``wanted`` was further from it than ``tolerance`` of its score range."""
        return np.zeros(len(wanted), bool)

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) how far two nets are apart on each sample, in ``unit``: the root of the mean squared difference."""
        gap = one.astype(np.float64) - other
        return np.sqrt(np.square(gap).mean(axis=1))

    def shares(self, scores: AnyArray) -> Floats:
        """(..., K) scores as an app is told them: probabilities; of values the values."""
        return scores.astype(np.float64)

    @abstractmethod
    def decode(self, shares: Floats, names: Sequence[str]) -> Decided:
        """What an app gets of one sample's (K,) ``shares``."""

    @abstractmethod
    def record(self, decided: Decided) -> Record:
        """What ``decode`` gave as it is written down, numbers of six digits."""

    def decision(self, record: Record) -> object:
        """What of a record is the same on every machine; None: nothing, its numbers alone are held."""
        return None

    def labels(self, record: Record) -> list[str] | None:
        """The labels that a record names; None: the task has values."""
        return None

    def in_words(self, record: Record) -> str:
        """A decision for an error."""
        return str(self.decision(record))

    @abstractmethod
    def numbers(self, record: Record) -> list[float]:
        """The numbers of a record in the scores' unit: a tolerance is a share of their range."""

    def off(self, decided: Decided, record: Record, slack: float) -> Iterator[Off]:
        """Each number of a record against what is decided now; ``slack``: how far it may be off, in the scores'
        unit.
        """
        pairs = zip(self.numbers(self.record(decided)), self.numbers(record), strict=True)
        for i, (now, before) in enumerate(pairs):
            # Both are of six digits: large values may differ by more than the slack through that alone.
            yield Off(f"value {i}", now, before, abs(now - before) / (slack + ROUNDED * abs(before)))
