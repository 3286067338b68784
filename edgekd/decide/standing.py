"""Does a teacher know anything of its classes, and does it name them in our order?

Chance is what answers would get by luck that are given as often, but know nothing of the sample (the agreement that
Cohen's kappa expects, doi:10.1177/001316446002000104): a constant answer is at chance however uneven the classes are.
A class order is looked for by the best assignment of columns to labels (Kuhn 1955, doi:10.1002/nav.3800020109), found
on one half of the samples and counted on the other, so that luck in few samples finds none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Labels = NDArray[np.int64]
LEAST = 30  # samples below which nothing is said
MOST = 1000  # classes up to which an order is looked for
SIDE = 1.645  # standard deviations: the upper end of a one-sided 95 % interval
FAR, CLEAR = 0.1, 3.0  # by how much another order must be better, in accuracy and in standard deviations
MENDED = 0.25  # of the mistakes at most so many are left in the other order: then it is no accident


@dataclass(frozen=True)
class Standing:
    """How a teacher stands on labelled samples.

    Attributes:
        accuracy: 0..1, in the order that its columns have.
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


def standing(predicted: Labels, labels: Labels, classes: int) -> Standing | None:
    """How a teacher stands; None where there are too few samples to tell.

    Args:
        predicted, labels: (N,) the classes that it names, and those that are right, 0..classes-1.
    """
    count = len(labels)
    if count < LEAST or classes < 2:
        return None
    shares = [np.bincount(part, minlength=classes) / count for part in (predicted, labels)]
    chance, accuracy = float(shares[0] @ shares[1]), float((predicted == labels).mean())
    at_chance = accuracy <= chance + SIDE * float(np.sqrt(chance * (1 - chance) / count))
    order = best_order(predicted, labels, classes) if classes <= MOST else np.arange(classes)
    if (order == np.arange(classes)).all():
        return Standing(accuracy, chance, at_chance)
    mixed, named = np.random.default_rng(0).permutation(count), np.empty_like(labels)
    one, other = mixed[: count // 2], mixed[count // 2 :]
    for fitted, counted in ((one, other), (other, one)):
        half = best_order(predicted[fitted], labels[fitted], classes)
        named[counted] = np.argsort(half)[predicted[counted]]
    then, now = named == labels, predicted == labels
    won, lost = int((then & ~now).sum()), int((now & ~then).sum())
    ordered = float((named == labels).mean())
    if ordered - accuracy < FAR or won - lost < CLEAR * np.sqrt(won + lost):
        return Standing(accuracy, chance, at_chance)
    surely = 1 - ordered <= MENDED * (1 - accuracy)
    return Standing(accuracy, chance, at_chance, tuple(order.tolist()), ordered, surely)


def best_order(predicted: Labels, labels: Labels, classes: int) -> Labels:
    """(classes,) for each label the column that means it, so that most samples are right; in doubt as they are."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predicted), 1.0)
    counts[np.diag_indices(classes)] += 0.5
    return np.asarray(linear_sum_assignment(-counts)[1], np.int64)
