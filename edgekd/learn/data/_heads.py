"""Several questions from one label: classes grouped in more than one way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgekd.base.errors import RecipeError
from edgekd.learn.data._base import Dataset

Groups = Mapping[str, Sequence[int]]


def grouped(dataset: Dataset, heads: Mapping[str, Groups]) -> Dataset:
    """The data set with a label for each head.

    Args:
        heads: for each, the classes of each group, by its name; without groups the classes as they are. Where the
            data has several heads already, they are as they come and none can be added.

    Raises:
        RecipeError: a class in no group or in two, one that does not exist, a head of one group, or a group without a
            class or without a training sample.
    """
    if dataset.heads:
        raise RecipeError("the data has heads of its own", where="data.heads", found=list(heads))
    tables = [_table(groups, dataset.classes, f"data.heads.{name}") for name, groups in heads.items()]
    if dataset.train.y is not None:
        for (name, groups), table in zip(heads.items(), tables, strict=True):
            _check_learned(groups, table[dataset.train.y], f"data.heads.{name}")
    names = [list(groups) or list(dataset.classes) for groups in heads.values()]
    splits = {
        name: replace(part, y=None if part.y is None else np.stack([table[part.y] for table in tables], axis=1))
        for name, part in dataset.splits.items()
    }
    if len(heads) == 1:
        splits = {name: replace(part, y=None if part.y is None else part.y[:, 0]) for name, part in splits.items()}
    sizes = {name: len(group_names) for name, group_names in zip(heads, names, strict=True)}
    classes = tuple(name for group_names in names for name in group_names)
    return replace(
        dataset,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        classes=classes,
        heads=sizes,
    )


def _table(groups: Groups, classes: Sequence[str], where: str) -> np.ndarray:
    """(classes,) the number of each one's group."""
    if not groups:
        return np.arange(len(classes))
    if len(groups) < 2:
        raise RecipeError("one group only", where=where, found=list(groups), allowed="two or more")
    table = np.full(len(classes), -1, np.int64)
    for number, (name, members) in enumerate(groups.items()):
        if not members:
            raise RecipeError("a group without a class", where=f"{where}.{name}", found=list(members))
        for one in members:
            if not 0 <= one < len(classes):
                raise RecipeError(
                    "no such class", where=f"{where}.{name}", found=one, allowed=f"0 to {len(classes) - 1}"
                )
            if table[one] >= 0:
                raise RecipeError("a class in two groups", where=f"{where}.{name}", found=classes[one])
            table[one] = number
    if (table < 0).any():
        raise RecipeError("a class in no group", where=where, found=classes[int(np.argmin(table))])
    return table


def _check_learned(groups: Groups, y: np.ndarray, where: str) -> None:
    """Raise RecipeError where nothing can be learned of a group, as of a class of a single head."""
    counts = np.bincount(y, minlength=len(groups))
    if groups and not counts.all():
        missing = list(groups)[int(counts.argmin())]
        raise RecipeError(
            "a group without a training sample", where=where, found=missing, allowed="at least one of each"
        )
