"""What an app is given for one sample: plain frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass


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
