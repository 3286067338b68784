"""What an app is given for one sample: plain frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """What the student says to one sample, of classes that exclude each other.

    Attributes:
        label: the name of the best class; index: its number.
        score: its probability, 0..1; scores: those of all classes, in order (softmax of the logits, at the bundle's
            temperature where it has one).
        sure: whether the answer is one that the bundle's ``[abstain]`` promises something of; None: it has none, and
            promises nothing.
    """

    label: str
    index: int
    score: float
    scores: tuple[float, ...]
    sure: bool | None = None


@dataclass(frozen=True)
class Labels:
    """Which of several labels apply to one sample: none, one or more.

    Attributes:
        labels: the names of those that apply, in the order of all.
        indices: their numbers.
        scores: the probability of every label, 0..1, in order (sigmoid of the logits): they do not sum to 1.
        sure: see ``Prediction``; of all labels together.
    """

    labels: tuple[str, ...]
    indices: tuple[int, ...]
    scores: tuple[float, ...]
    sure: bool | None = None


@dataclass(frozen=True)
class Anomaly:
    """How far one sample is from what is normal.

    Attributes:
        score: the larger the further, in the network's own unit.
        is_anomaly: whether it is at the threshold or above; None: there is none.
    """

    score: float
    is_anomaly: bool | None


@dataclass(frozen=True, eq=False)
class AnomalyMap:
    """How far each pixel of one picture is from what is normal.

    Attributes:
        scores: (H, W) float32, the larger the further, in the network's own unit.
        threshold: a pixel is an anomaly from it on, a float32 number; None: there is none.
    """

    scores: NDArray[np.float32]
    threshold: float | None

    @property
    def score(self) -> float:
        """The largest score."""
        return float(self.scores.max())

    @property
    def anomalous(self) -> NDArray[np.bool_] | None:
        """(H, W) which pixels are at the threshold or above; None: there is none."""
        return None if self.threshold is None else self.scores >= np.float32(self.threshold)

    @property
    def is_anomaly(self) -> bool | None:
        """Whether some pixel is."""
        return None if (pixels := self.anomalous) is None else bool(pixels.any())

    @property
    def area(self) -> float | None:
        """The share of the pixels that are, 0..1."""
        return None if (pixels := self.anomalous) is None else float(pixels.mean())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AnomalyMap):
            return NotImplemented
        return self.threshold == other.threshold and np.array_equal(self.scores, other.scores)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Vector:
    """What the student says of one sample as a whole, to be compared with other vectors.

    Attributes:
        values: its numbers, in order.
    """

    values: tuple[float, ...]


@dataclass(frozen=True)
class Values:
    """Numbers of one sample, in the unit of the labels.

    Attributes:
        values: in order.
        names: what each is called.
    """

    values: tuple[float, ...]
    names: tuple[str, ...]

    @property
    def value(self) -> float:
        """The one value, where there is but one.

        Raises:
            ValueError: there are several.
        """
        if len(self.values) != 1:
            raise ValueError(f"{len(self.values)} values: {', '.join(self.names)}")
        return self.values[0]

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """(x, y) of each point, where the values are those of points.

        Raises:
            ValueError: an odd number of values.
        """
        if len(self.values) % 2:
            raise ValueError(f"{len(self.values)} values: points have two each")
        return tuple(zip(self.values[::2], self.values[1::2], strict=True))


@dataclass(frozen=True, eq=False)
class Mask:
    """The class of every pixel of one picture.

    Attributes:
        classes: (H, W) the number of each pixel's class, uint8 (uint16 of more than 256 classes).
        scores: (H, W) float32, its probability, 0..1.
        names: of the classes, by number.
    """

    classes: NDArray[np.uint8] | NDArray[np.uint16]
    scores: NDArray[np.float32]
    names: tuple[str, ...]

    @property
    def areas(self) -> dict[str, float]:
        """The share of the pixels that each class has, 0..1, the largest first; classes of no pixel are left out."""
        counts = np.bincount(self.classes.reshape(-1), minlength=len(self.names))
        order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
        return {self.names[i]: float(counts[i] / self.classes.size) for i in order}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        mine, theirs = ((one.names, one.classes.tolist(), one.scores.tolist()) for one in (self, other))
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Span:
    """Some words of a text, one behind the other.

    Attributes:
        label: what they are.
        words: the number of the first, and of the one behind the last.
        characters: the same of the text's characters: ``text[characters[0]:characters[1]]`` is ``text``.
        score: the lowest probability among the words' tags, 0..1.
    """

    label: str
    words: tuple[int, int]
    characters: tuple[int, int]
    text: str
    score: float


@dataclass(frozen=True)
class Tags:
    """A tag for each word of a text, and the spans that they mark.

    Attributes:
        tags: of the words in order; of a text that is cut off those that are read.
        scores: the probability of each, 0..1.
        spans: in order; none where every word is outside.
    """

    tags: tuple[str, ...]
    scores: tuple[float, ...]
    spans: tuple[Span, ...]
