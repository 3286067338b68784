"""What a task is: the meaning of one output of a network, kept in one place."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import EdgekdError
from edgekd.base.marks import Marks
from edgekd.base.preprocess import Ops
from edgekd.base.scores import span
from edgekd.tasks._classes import At, Numbered, unlabelled

Scores = NDArray[np.float32]
Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
Groups = NDArray[np.int64]
Decided = Any  # what ``decode`` gives: a dataclass of the task's own
Record = dict[str, Any]  # a decision as it is written down: JSON
ROUNDED = 1e-5  # of six digits
IGNORED = -100  # the label of a place that no loss and no metric looks at; of one that nobody knows it is -1
Geometry = Literal["", "mask", "points"]
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


class Axes(Protocol):
    """An array of numpy or a tensor of torch, as far as both turn their axes alike."""

    def reshape(self, shape: tuple[int, ...], /) -> Self: ...

    def swapaxes(self, one: int, other: int, /) -> Self: ...


Array = TypeVar("Array", bound=Axes)


class Shown(NamedTuple):
    """A raw sample, and the preprocessing that showed it to the network."""

    sample: object
    ops: Ops


class Off(NamedTuple):
    """A number of a decision that was written down: where, what it is now and was, and their distance (1: allowed)."""

    place: str
    now: float
    before: float
    distance: float


class Task(ABC):
    """One file of ``tasks/``: a frozen dataclass whose fields are the keys of the recipe's ``task``.

    Scores are (N, *shape) float32: what one output says to N samples, in the natural shape of the task: (K,) of K
    classes, labels or values. What is not overridden here is of values: numbers that decide nothing, each as it is.

    Everywhere outside of tasks, losses and metrics the scores of a sample are one flat row; ``Heads`` knows the shape
    and turns the one into the other. A dense task answers at every place of a sample (a token, a pixel): the names
    count one axis of its shape, and its labels are (N, P) for P places, -1 where not known and ``IGNORED`` where no
    loss and no metric looks. What is said of the places that a sample has not (a text of fewer tokens) is 0, all of it:
    so every number that leaves a network is finite, and is held to be.
    """

    axes: ClassVar[tuple[str, ...]]
    """What each axis of the output counts: ``batch``, then ``class``, ``label``, ``value``, ``token``, ``y``, ``x``."""
    hub: ClassVar[Mapping[str, str]]
    """What model hubs call the task, by the kind of sample: ``text``, ``ink``, ``picture``, ``sound``, ``numbers``."""
    metrics: ClassVar[tuple[str, ...]]
    """The built-in metrics that suit it, the default first."""
    label_loss: ClassVar[str]
    """The loss by which a teacher that is trained here learns its labels; "": the task has no labels."""
    program: ClassVar[str]
    """How programs decode it: ``class``, ``labels``, ``values``, ``anomaly``, ``anomaly_map``, ``mask`` or ``tags``;
    "": none does."""
    holds: ClassVar[str]
    """What an output holds, with ``{}`` for how many."""
    prints: ClassVar[str]
    """What of ``answer``, that ``predict`` gave, an app would print first."""
    limits: ClassVar[tuple[str, ...]] = ()
    """What a model card says that such an answer can't tell, a sentence each."""
    row_labels: ClassVar[bool] = True
    """Whether the label of a sample is a row of K numbers, and not one."""
    pairs: ClassVar[bool] = False
    """Whether a label is of a pair of samples, a row [pair, score], or of a triplet, a row [triplet, role]."""
    unit: ClassVar[str] = ""
    """Of ``distance``."""
    dense: ClassVar[bool] = False
    """Whether it answers at every place of a sample."""
    axis: ClassVar[int] = 0
    """Which axis of a sample's shape the names count."""
    certainties: ClassVar[tuple[str, ...]] = ()
    """By which numbers of its scores an answer can be told to be sure, ``margin`` first; (): it can't."""

    @property
    @abstractmethod
    def losses(self) -> tuple[str, ...]:
        """The built-in losses on outputs that suit it."""

    @property
    def link(self) -> Literal["softmax", "sigmoid", ""]:
        """What makes probabilities of scores: networks that end in it already are taken as well; "": they are none."""
        return ""

    @property
    def geometry(self) -> Geometry:
        """What the labels of a picture are that move with what it shows: a mask, points, or neither."""
        return ""

    @property
    def unlabelled_pixel(self) -> int:
        """The number in masks, as the data has them, of pixels without a label."""
        return -1

    @property
    def exclusive(self) -> bool:
        """Whether the scores of a sample are of classes of which one is right."""
        return self.link == "softmax" and not self.dense

    @property
    def by_column(self) -> bool:
        """Whether each number of a sample has a unit of its own, as degrees and pascals have: a tolerance is a share of
        its column's range then, and not of that of all.
        """
        return False

    @property
    def vectors(self) -> bool:
        """Whether an answer is a vector that others are compared with: then ``distance`` is 1 minus the cosine."""
        return False

    def shape(self, names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
        """The natural shape of a sample's scores.

        Args:
            names: how many names the output has.
            labels: the shape of a sample's label as the data has it; () of one number, or where there is none.

        Raises:
            RecipeError: it can't be told without labels.
        """
        return (names,)

    def places(self, shape: tuple[int, ...]) -> int:
        """How many places a sample of that shape has: rows of scores, and labels."""
        return math.prod(shape) // shape[self.axis] if self.dense else 1

    def label_size(self, shape: tuple[int, ...]) -> int:
        """How many numbers the label of a sample is, where a sample's scores are of that shape."""
        return self.places(shape) if self.dense else math.prod(shape) if self.row_labels else 1

    def rows(self, scores: Array, shape: tuple[int, ...]) -> Array:
        """(N, *shape) or (N, W) scores as rows, (N, C), or of a dense task (N P, C), a sample's places in order.

        Pure shape, for arrays and tensors alike: losses and metrics leave out what is ignored by the labels, (N P,).
        """
        if not self.dense:
            return scores
        names, behind = shape[self.axis], math.prod(shape[self.axis + 1 :])
        return scores.reshape((-1, names, behind)).swapaxes(1, 2).reshape((-1, names))

    def label_rows(self, labels: Array) -> Array:
        """The labels of a dense task, (N, P), beside its ``rows``: (N P,) numbers of one class each.

        A task of one value a place gives (N P, 1), a row of it, as tasks of values do of samples.
        """
        return labels.reshape((-1,))

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

    def unlabelled(self, names: tuple[str, ...] | None, where: str, hint: str | None = None) -> Numbered:
        """The names of the output's columns where the data has no labels that tell them.

        Args:
            names: as they are given; None: they are not.
            where: the key that gives them.
            hint: what else the user may have meant.

        Raises:
            DataError: they are needed.
        """
        return unlabelled(names, where, hint)

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

    def suited(self, labels: AnyArray | None) -> tuple[str, str]:
        """(loss, metric): the built-in ones by which a teacher that is trained here learns such labels, and is judged.

        Args:
            labels: checked; None: whatever they are.
        """
        return self.label_loss, self.metrics[0]

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

    @property
    def false_alarms(self) -> float | None:
        """Of a task whose scores have thresholds: how often a normal sample may reach one, 0..1; None: its thresholds
        are of labels, probabilities with the best F1.
        """
        return None

    def decided_at(self, thresholds: Sequence[float]) -> Task:
        """The task with a threshold for each label, 0 < t < 1, or for each score; of one that ``chooses``."""
        raise NotImplementedError(f"{type(self).__name__} has no thresholds")

    def normal_scores(self, scores: AnyArray, labels: AnyArray) -> AnyArray:
        """(M,) the scores of what is normal, of which a share of ``false_alarms`` may reach the threshold: of (N, 1)
        scores those of samples with the label 0.
        """
        return scores[labels[:, 0] == 0, 0]

    def judged(self, scores: AnyArray) -> AnyArray:
        """(N, K) scores as metrics see them: of labels, those apply whose score is 0 or above."""
        return scores

    def together(self, labels: AnyArray) -> Groups | None:
        """(N,) a number that samples share which mean something together alone, -1 of a sample that stands by itself;
        None: all do. A batch, a part and a resample of the data hold the whole of a group.
        """
        return None

    def compared(self, scores: AnyArray, labels: AnyArray) -> tuple[AnyArray, AnyArray]:
        """What metrics that are held against labels are given of (N, K) scores and of labels."""
        return self.judged(scores), labels

    def answers(self, scores: AnyArray) -> AnyArray:
        """What scores say, as labels are written: what counts as the label where only a teacher speaks."""
        return scores

    def picks(self, labels: AnyArray, size: int) -> Hits:
        """(N, size) which of the columns labels or answers name; of values none."""
        return np.zeros((len(labels), size), bool)

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """(N,) whether two nets' scores are one decision; None: nothing is decided."""
        return None

    def agreement(self, one: AnyArray, other: AnyArray) -> Floats | None:
        """(N,) the share of a sample's decisions that two nets take alike, 0..1; None: nothing is decided."""
        same = self.same(one, other)
        return None if same is None else same.astype(np.float64)

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

    def differing(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Floats:
        """(N,) the share of a sample's decisions that ``differs`` tells, 0..1."""
        return self.differs(got, wanted, tolerance).astype(np.float64)

    def span(self, scores: AnyArray) -> Floats:
        """What a tolerance is a share of: () the range of (N, ...) scores, or (K,) of columns; see ``by_column``."""
        return span(scores, by_column=self.by_column)

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) how far two nets are apart on each sample, in ``unit``: the root of the mean squared difference."""
        gap = one.astype(np.float64) - other
        return np.sqrt(np.square(gap).mean(axis=1))

    def shares(self, scores: AnyArray) -> Floats:
        """(..., K) scores as an app is told them: probabilities; of values the values."""
        return scores.astype(np.float64)

    @abstractmethod
    def decode(self, shares: Floats, names: Sequence[str]) -> Decided:
        """What an app gets of one sample's ``shares``, (*shape)."""

    def decode_shown(self, shares: Floats, names: Sequence[str], shown: Shown) -> Decided:
        """The same, by a task that needs the sample: the words of a text, the size of a picture."""
        return self.decode(shares, names)

    def marks(self, decided: Decided) -> Marks | None:
        """What a decision marks in the sample itself, for pages that show both; None: nothing."""
        return None

    def shares_of_label(self, label: AnyArray, shape: tuple[int, ...]) -> Floats | None:
        """The ``shares``, (*shape), that say just what a sample's label says; None where ``marks`` gives nothing."""
        return None

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
        return numbers_off(self, decided, record, slack)


def numbers_off(task: Task, decided: Decided, record: Record, slack: float | Floats) -> Iterator[Off]:
    """Each number of a record against what is decided now; ``slack``: see ``Task.off``, above 0, or one of each."""
    pairs = list(zip(task.numbers(task.record(decided)), task.numbers(record), strict=True))
    each = np.broadcast_to(slack, len(pairs)).tolist()
    for i, ((now, before), limit) in enumerate(zip(pairs, each, strict=True)):
        # Both are of six digits: large values may differ by more than the slack through that alone.
        yield Off(f"value {i}", now, before, abs(now - before) / (limit + ROUNDED * abs(before)))
