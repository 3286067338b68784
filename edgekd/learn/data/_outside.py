"""Samples of classes that nobody is to learn: what an app may be shown, and the student has no answer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekd.base.arrays import Samples
from edgekd.base.errors import RecipeError
from edgekd.learn.data._base import Dataset
from edgekd.tasks import Task

WHERE = "abstain.outside"


def without(dataset: Dataset, names: Sequence[str], task: Task) -> tuple[Dataset, dict[str, Samples]]:
    """The data set without some of its classes, and their raw samples of validation and test.

    Args:
        names: of the classes; at least one.
        task: what the labels are.

    Returns:
        The others, numbered anew in the same order; and by split (N, ...) raw samples, of test where it has some.

    Raises:
        RecipeError: not one label of classes a sample, no such class, fewer than two left, or none of their samples in
            validation, where the score is chosen.
    """
    if dataset.heads or dataset.answers is not None or not task.exclusive or dataset.train.y is None:
        allowed = "data with one label a sample, of classes of which one is right"
        raise RecipeError("no classes to leave out", where=WHERE, found=list(names), allowed=allowed)
    for name in names:
        if name not in dataset.classes:
            raise RecipeError("no such class", where=WHERE, found=name, allowed=dataset.classes)
    left = [i for i, name in enumerate(dataset.classes) if name not in names]
    if len(left) < 2:
        raise RecipeError("too few classes are left", where=WHERE, found=list(names), allowed="all but two at most")
    numbers = np.full(len(dataset.classes), -1, np.int64)
    numbers[left] = np.arange(len(left))
    kept, outside = {}, {}
    for split, part in dataset.splits.items():
        labels = numbers[np.asarray(part.y)]
        kept[split] = replace(part.some(np.flatnonzero(labels >= 0)), y=labels[labels >= 0])
        if not len(kept[split]):
            raise RecipeError("a split has no other samples", where=WHERE, found=split, allowed="some of other classes")
        if split != "train" and len(of := np.flatnonzero(labels < 0)):
            outside[split] = part.x[of]
    if "validation" not in outside:
        allowed = "some: there the score of sure answers is chosen"
        raise RecipeError("no sample of them in validation", where=WHERE, found=list(names), allowed=allowed)
    count = sum(len(part) for part in dataset.splits.values()) - sum(len(part) for part in kept.values())
    note = f"{count:,} samples of {', '.join(names)} are not learned: they tell how well the score of sure answers does"
    classes = tuple(dataset.classes[i] for i in left)
    train, validation, test = (kept[split] for split in dataset.splits)
    notes = (*dataset.notes, note)
    return replace(dataset, train=train, validation=validation, test=test, classes=classes, notes=notes), outside
