"""When an answer is sure: a threshold with a promise that holds, by an exact bound, for whichever one is chosen.

Selective classification with guaranteed risk (Geifman and El-Yaniv 2017, arXiv:1705.08500), its many thresholds tested
one after another in an order that other samples gave (fixed-sequence testing with a split, Angelopoulos et al. 2021,
Learn then Test, arXiv:2110.01052). Of fixed thresholds each number of errors is binomial; the first that is wrongly
held good stands at one place of a fixed order, so that all tests together err no more often than one. A threshold that
the tested samples' own scores gave would have to pay for each that was tried: with 24 of them an agreement of 0.97 at
0.95 takes 205 samples without an error, and here 99.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base.scores import log_softmax

Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
STEPS = 100  # thresholds that are tried: a per cent of the samples that order them lies between two
COLDEST, HOTTEST = 0.05, 20.0  # temperatures
HALVINGS = 60  # of an interval of doubles, until nothing is left of it


@dataclass(frozen=True)
class Answers:
    """What one file says to some samples, on one runtime.

    Attributes:
        certainty: (N,), the larger the surer.
        agrees: (N,) with whom the promise is made.
    """

    certainty: Floats
    agrees: Hits

    def above(self, least: float) -> tuple[int, int]:
        """How many are at least so sure, and how many of these do not agree."""
        sure = self.certainty >= least
        return int(sure.sum()), int((sure & ~self.agrees).sum())


def tail(errors: int, count: int, rate: float) -> float:
    """P(at most ``errors`` of ``count``) where each is one with probability ``rate``, 0 < rate < 1; exact."""
    if errors >= count:
        return 1.0
    k = np.arange(1, errors + 1)
    ratios = np.cumsum(np.log((count - k + 1) / k) + math.log(rate) - math.log1p(-rate))
    terms = np.append(0.0, ratios) + count * math.log1p(-rate)
    most = terms.max()
    return min(1.0, float(math.exp(most) * np.exp(terms - most).sum()))


def at_least(hits: int, count: int, confidence: float) -> float:
    """Clopper and Pearson's one-sided bound (1934, doi:10.1093/biomet/26.4.404): a rate is at least this, with
    ``confidence``, where ``hits`` of ``count`` were found. By bisection; 0 where there were none."""
    if not hits:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        error = (low + high) / 2
        low, high = (low, error) if tail(count - hits, count, error) <= 1 - confidence else (error, high)
    return 1.0 - high


def threshold(
    tuning: Sequence[Answers], tested: Sequence[Answers], agreement: float, confidence: float
) -> float | None:
    """From which certainty on at least ``agreement`` of the answers agree, with ``confidence``.

    ``tuning`` gives thresholds, and where to begin: where as many samples as are tested would most clearly pass. From
    there on each lower threshold is tested in turn, while all runtimes pass.

    Args:
        tuning, tested: other samples of one source, by runtime.
        agreement, confidence: 0 < p < 1.

    Returns:
        The lowest that passes; None: not even the first does.
    """
    rate, passed = 1 - agreement, None
    certainty = np.concatenate([one.certainty for one in tuning])
    if not len(certainty):
        return None
    levels = np.unique(np.quantile(certainty, np.linspace(0, 1, STEPS + 1), method="lower"))[::-1].tolist()
    pairs = list(zip(tuning, tested, strict=True))
    expected = [max(_expected(one, other, level, rate) for one, other in pairs) for level in levels]
    for level in levels[int(np.argmin(expected)) :]:
        if any(tail(errors, count, rate) > 1 - confidence for count, errors in (one.above(level) for one in tested)):
            break
        passed = level
    return passed


def _expected(tuning: Answers, tested: Answers, level: float, rate: float) -> float:
    """The tail that as many samples as are tested would have; half an error more, since few samples show none."""
    count, errors = tuning.above(level)
    more = round(count * len(tested.agrees) / len(tuning.agrees))
    return tail(round((errors + 0.5) / (count + 1) * more), more, rate)


def temperature(scores: Sequence[Floats], right: Sequence[NDArray[np.int64]]) -> float:
    """What (N, K) scores are divided by, so that their softmax says best how often ``right`` is right.

    It minimises the cross-entropy (Guo et al. 2017, arXiv:1706.04599), with labels that are a little unsure as in
    Platt 1999: where all N samples are right, none would be too sure. By golden-section search of its logarithm.

    Args:
        scores: by runtime; right: (N,) classes, by runtime.
    """
    golden = (math.sqrt(5) - 1) / 2
    low, high = math.log(COLDEST), math.log(HOTTEST)
    for _ in range(HALVINGS):
        one, other = high - golden * (high - low), low + golden * (high - low)
        lower_is_better = _cross_entropy(scores, right, math.exp(one)) <= _cross_entropy(scores, right, math.exp(other))
        low, high = (low, other) if lower_is_better else (one, high)
    return math.exp((low + high) / 2)


def _cross_entropy(scores: Sequence[Floats], right: Sequence[NDArray[np.int64]], heat: float) -> float:
    total = 0.0
    for of_runtime, classes in zip(scores, right, strict=True):
        unsure = 1 / (len(classes) + 2)
        logs = log_softmax(of_runtime / heat)
        of_right = logs[np.arange(len(classes)), classes]
        total -= float(((1 - unsure) * of_right + unsure * logs.mean(axis=1)).mean())
    return total


def separation(answers: Sequence[Answers]) -> float:
    """How well certainty tells answers that agree from those that do not: the area under the ROC curve, 0..1, the mean
    over the runtimes; 0.5 where all agree, or none."""
    return float(np.mean([auroc(one.certainty[one.agrees], one.certainty[~one.agrees]) for one in answers]))


def auroc(high: Floats, low: Floats) -> float:
    """P(one of ``high`` > one of ``low``), ties half; 0.5 where one of them is empty."""
    if not len(high) or not len(low):
        return 0.5
    below = np.searchsorted(np.sort(low), high, side="left") + np.searchsorted(np.sort(low), high, side="right")
    return float(below.mean() / (2 * len(low)))
