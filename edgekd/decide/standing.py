"""Does a teacher know anything of its classes, and does it name them in our order?

Chance is what answers would get by luck that are given as often, but know nothing of the sample (the agreement that
Cohen's kappa expects, doi:10.1177/001316446002000104): a constant answer is at chance however uneven the classes are.
A class order is looked for by the best assignment of columns to labels (Kuhn 1955, doi:10.1002/nav.3800020109), found
on one half of the samples and counted on the other, so that luck in few samples finds none.

Of labels that apply or do not, each by itself, the area under the ROC curve stands for the share that is right: it
needs no threshold, and luck gives 0.5 however rare a label is. Its spread by luck is that of Mann and Whitney 1947,
doi:10.1214/aoms/1177730491.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Labels = NDArray[np.int64]
LEAST = 30  # samples below which nothing is said
MOST = 1000  # classes up to which an order is looked for
FEW = 5  # samples of either kind, below which nothing is said of a label
SIDE = 1.645  # standard deviations: the upper end of a one-sided 95 % interval
FAR, CLEAR = 0.1, 3.0  # by how much another order must be better, in accuracy and in standard deviations
MENDED = 0.25  # of the mistakes at most so many are left in the other order: then it is no accident


@dataclass(frozen=True)
class Standing:
    """How a teacher stands on labelled samples.

    Attributes:
        accuracy: 0..1, in the order that its columns have; of ``ranking`` the area under the ROC curve.
        chance: what it would be by luck.
        at_chance: it is not clearly above that.
        order: for each label, the column that most likely means it; None: as they are.
        ordered: its accuracy then.
        surely: in that order next to no mistakes are left.
    """

    accuracy: float
    chance: float
    at_chance: bool
    order: tuple[int, ...] | None = None
    ordered: float = 0.0
    surely: bool = False


def standing(predicted: Labels, labels: Labels, classes: int, samples: Labels | None = None) -> Standing | None:
    """How a teacher stands; None where there are too few samples to tell.

    Args:
        predicted, labels: (N,) the classes that it names, and those that are right, 0..classes-1.
        samples: (N,) of which sample each is, where it answers at several places of one; None: each of its own.
    """
    count = len(labels)
    if count < LEAST or classes < 2:
        return None
    chance, accuracy = by_luck(predicted, labels, classes), float((predicted == labels).mean())
    at_chance = accuracy <= chance + SIDE * float(np.sqrt(chance * (1 - chance) / count))
    order = best_order(predicted, labels, classes) if classes <= MOST else np.arange(classes)
    if (order == np.arange(classes)).all():
        return Standing(accuracy, chance, at_chance)
    named, half = np.empty_like(labels), _half(count, samples)
    for fitted, counted in ((half, ~half), (~half, half)):
        columns = best_order(predicted[fitted], labels[fitted], classes)
        named[counted] = np.argsort(columns)[predicted[counted]]
    then, now = named == labels, predicted == labels
    won, lost = int((then & ~now).sum()), int((now & ~then).sum())
    ordered = float((named == labels).mean())
    lucky = by_luck(named, labels, classes)  # one answer to all is no order
    is_luck = ordered <= lucky + SIDE * float(np.sqrt(lucky * (1 - lucky) / count))
    if is_luck or ordered - accuracy < FAR or won - lost < CLEAR * np.sqrt(won + lost):
        return Standing(accuracy, chance, at_chance)
    surely = 1 - ordered <= MENDED * (1 - max(accuracy, lucky))
    return Standing(accuracy, chance, at_chance, tuple(order.tolist()), ordered, surely)


def by_luck(predicted: Labels, labels: Labels, classes: int) -> float:
    """The share that would be right of (N,) answers that are given as often, but know nothing of the sample."""
    shares = [np.bincount(part, minlength=classes) / len(labels) for part in (predicted, labels)]
    return float(shares[0] @ shares[1])


def ranking(scores: NDArray[np.float32], labels: Labels, samples: Labels | None = None) -> Standing | None:
    """How a teacher stands whose columns each say how far a label applies; None where there are too few samples.

    Args:
        scores: (N, K); labels: (N, K) 1 where it applies, 0 where not, -1 where nobody knows.
        samples: see ``standing``.
    """
    counts = np.stack([(labels == value).sum(axis=0) for value in (0, 1)])
    known = np.flatnonzero(counts.min(axis=0) >= FEW)
    if len(labels) < LEAST or not len(known):
        return None
    bits = labels[:, known]
    areas = _areas(scores[:, known], bits)
    luck = (counts[:, known].sum(axis=0) + 1) / (12.0 * counts[:, known].prod(axis=0))  # the variance of each
    accuracy, limit = float(np.diag(areas).mean()), SIDE * float(np.sqrt(luck.sum())) / len(known)
    plain = Standing(accuracy, 0.5, accuracy <= 0.5 + limit)
    order = linear_sum_assignment(-areas - np.diag(np.full(len(known), 1e-6)))[1]
    moved = order != np.arange(len(known))
    if not moved.any() or len(known) > MOST:
        return plain
    half, now, then = _half(len(labels), samples), [], []
    for fitted, counted in ((half, ~half), (~half, half)):
        best = linear_sum_assignment(-_areas(scores[fitted][:, known], bits[fitted]))[1]
        others = _areas(scores[counted][:, known], bits[counted])
        now.append(np.diag(others)[moved])
        then.append(others[np.arange(len(known)), best][moved])
    before, ordered = float(np.mean(now)), float(np.mean(then))
    if ordered - before < max(FAR, CLEAR * float(np.sqrt(2 * luck[moved].sum())) / int(moved.sum())):
        return plain
    whole = np.arange(labels.shape[1])
    whole[known] = known[order]
    surely = 1 - ordered <= MENDED * (1 - max(before, 0.5))
    return Standing(before, 0.5, plain.at_chance, tuple(whole.tolist()), ordered, surely)


@dataclass(frozen=True)
class Line:
    """How a teacher's values stand against labels that are values.

    Attributes:
        explained: of the labels' variance, as they are (r2): below 0 the mean of the labels says more.
        factor, offset: what makes of them the nearest to the labels, by least squares.
        correlation: with the labels, -1..1; its square is explained then.
        at_chance: it is not clearly above 0.
    """

    explained: float
    factor: float
    offset: float
    correlation: float
    at_chance: bool


def line(values: NDArray[np.float64], labels: NDArray[np.float64]) -> Line | None:
    """How (N,) values stand against (N,) labels; None where there are too few, or these are all alike."""
    if len(labels) < LEAST or not np.ptp(labels):
        return None
    away, apart = labels - labels.mean(), values - values.mean()
    spread = float(np.sqrt(np.square(apart).sum() * np.square(away).sum()))
    correlation = float(apart @ away) / spread if spread > 0 else 0.0
    factor = correlation * float(labels.std() / values.std()) if spread > 0 else 0.0
    explained = 1 - float(np.square(values - labels).sum() / np.square(away).sum())
    offset = float(labels.mean() - factor * values.mean())
    return Line(explained, factor, offset, correlation, correlation <= SIDE / np.sqrt(len(labels)))


def _areas(scores: NDArray[np.float32], labels: Labels) -> NDArray[np.float64]:
    """(K, K) the area under the ROC curve of each label, a row, by each column of scores; 0.5 of one kind alone."""
    order = scores.argsort(axis=0, kind="stable")
    ranks = np.empty(scores.shape)
    for column, places in enumerate(order.T):
        _, first, counts = np.unique(scores[places, column], return_index=True, return_counts=True)
        ranks[places, column] = np.repeat(first + (counts + 1) / 2, counts)  # equal ones share their mean
    applies, not_so = (labels == 1).T.astype(np.float64), (labels == 0).T.astype(np.float64)
    hits, others = applies.sum(axis=1, keepdims=True), not_so.sum(axis=1, keepdims=True)
    apart = applies @ ranks / np.maximum(hits, 1) - not_so @ ranks / np.maximum(others, 1)
    return np.where((hits > 0) & (others > 0), 0.5 + apart / max(len(labels), 1), 0.5)


def _half(count: int, samples: Labels | None) -> NDArray[np.bool_]:
    """(count,) whether each stands in the first of two halves, by luck; all places of a sample stand in one."""
    member = np.arange(count) if samples is None else np.unique(samples, return_inverse=True)[1].reshape(-1)
    groups = int(member.max()) + 1
    return np.asarray((np.random.default_rng(0).permutation(groups) < groups // 2)[member])


def best_order(predicted: Labels, labels: Labels, classes: int) -> Labels:
    """(classes,) for each label the column that means it, so that most samples are right; in doubt as they are."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predicted), 1.0)
    counts[np.diag_indices(classes)] += 0.5
    return np.asarray(linear_sum_assignment(-counts)[1], np.int64)
