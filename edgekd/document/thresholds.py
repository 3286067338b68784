"""What is chosen on validation of the files that ship: thresholds of labels, and when answers are sure."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from edgekd.document.rules import Count, Number, Positive, Share, closed


@closed
class SureFrom(TypedDict):
    """Answers whose score ``by`` is at least ``least`` are sure, none where it is null; scores become probabilities at
    the temperature."""

    by: str
    least: Number | None
    temperature: Positive


@closed
class Thresholds(TypedDict):
    """Of one output; ``labels``: a probability for each, from which on it applies; ``scores``: of each, in its own
    unit, from which on a sample is an anomaly.
    """

    labels: NotRequired[list[Share]]
    scores: NotRequired[list[Number]]
    sure: NotRequired[SureFrom]


class Promise(TypedDict):
    """What ``[abstain]`` asks of sure answers."""

    agreement: Share
    confidence: Share
    against: Literal["teacher", "labels"]


class Covered(TypedDict):
    """How many of some samples are answered surely, and how many of these agree; null of none.

    ``at_least``: Clopper and Pearson's lower bound of that agreement, with the confidence that was asked for.
    """

    samples: Count
    coverage: Share
    agreement: Share | None
    at_least: Share


class SureOf(TypedDict):
    """Of one output of one file on one runtime; ``validation``: the samples of it that the threshold was tested on."""

    validation: Covered
    test: NotRequired[Covered]
