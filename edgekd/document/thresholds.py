"""What is chosen on validation of the files that ship: thresholds of labels, and when answers are sure."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from edgekd.document.rules import Count, Number, Positive, Share, closed


@closed
class Distance(TypedDict):
    """How near K scores are to the means of C classes, in R coordinates: see ``tasks.ClassDistance``."""

    shift: list[Number]
    axes: list[list[Number]]
    means: list[list[Number]]
    weights: list[Share]


@closed
class SureFrom(TypedDict):
    """Answers whose score ``by`` is at least ``least`` are sure, none where it is null; scores become probabilities at
    the temperature. ``distance``: what the score of that name is computed with."""

    by: str
    least: Number | None
    temperature: Positive
    distance: NotRequired[Distance]


@closed
class Thresholds(TypedDict):
    """Of one output; ``labels``: a probability for each, from which on it applies; ``scores``: of each, in its own
    unit, from which on a sample, or a pixel, is an anomaly.
    """

    labels: NotRequired[list[Share]]
    scores: NotRequired[list[Number]]
    sure: NotRequired[SureFrom]


class Promise(TypedDict):
    """What ``[abstain]`` asks of sure answers."""

    agreement: Share
    confidence: Share
    against: Literal["teacher", "labels"]
    outside: NotRequired[list[str]]


class Outside(TypedDict):
    """Samples of no class that is known: how many, the share that is answered surely all the same, and the area under
    the ROC curve by which the score tells the others from them."""

    samples: Count
    coverage: Share
    auroc: Share


class Covered(TypedDict):
    """How many of some samples are answered surely, and how many of these agree; null of none.

    ``at_least``: Clopper and Pearson's lower bound of that agreement, with the confidence that was asked for;
    ``outside``: of the split's samples of no class that is known.
    """

    samples: Count
    coverage: Share
    agreement: Share | None
    at_least: Share
    outside: NotRequired[Outside]


class SureOf(TypedDict):
    """Of one output of one file on one runtime; ``validation``: the samples of it that the threshold was tested on."""

    validation: Covered
    test: NotRequired[Covered]
