"""Splits whose figures say nothing, as no label of theirs is known, or all are alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data._base import Dataset
from edgekd.tasks import IGNORED, Task

LISTED = 8  # names that a note lists
UNKNOWN = -1  # the label of a place, or of a column of several labels, that nobody knows


def check(labels: AnyArray, task: Task, where: str) -> None:
    """Raise DataError where none of a split's labels is known: its value would be of no sample."""
    rows = _rows(labels, task)
    if _is_ours(task) and rows.size and not _known(rows).any():
        raise DataError("no label is known in this split", where=where, allowed="at least one")


def alike(dataset: Dataset, task: Task) -> Iterator[str]:
    """A note on validation and on test where all their samples are labelled alike.

    Args:
        task: of the one output that the labels are of.
    """
    if dataset.train.y is None or not _is_ours(task):
        return
    if task.pairs and _one_of_all(dataset.train.y, task) is not None:
        return  # pairs without scores belong together, all of them
    for name in ("validation", "test"):
        split = dataset.splits[name]
        if split.y is None or len(split) < 2 or (only := _one_of_all(split.y, task)) is None:
            continue
        known = (task.exclusive or task.dense) and 0 <= int(only[0]) < len(dataset.classes)
        label = f" ({dataset.classes[int(only[0])]})" if known else ""
        decides = ", and they decide" if name == "validation" else ""
        yield f"all {len(split):,} {name} samples are labelled alike{label}: their figures know no other label{decides}"


def unknown(dataset: Dataset, task: Task) -> Iterator[str]:
    """A note on the labels, or values, of which validation or test know none, by name; ``task``: see ``alike``."""
    if not _is_ours(task) or task.pairs or task.dense:
        return
    for name in ("validation", "test"):
        y = dataset.splits[name].y
        if y is None or y.ndim != 2 or y.shape[1] != len(dataset.classes):
            continue
        columns = [dataset.classes[i] for i in np.flatnonzero(~_known(y).any(axis=0))]
        if columns:
            more = f" and {len(columns) - LISTED:,} more" if len(columns) > LISTED else ""
            decides = ", and it decides" if name == "validation" else ""
            yield f"{name} knows no label of {', '.join(columns[:LISTED])}{more}: no figure is of it{decides}"


def _one_of_all(labels: AnyArray, task: Task) -> NDArray[np.float64] | None:
    """The one label that all known ones of a split are, number by number; None where some differ.

    Of a dense task all places count as one number, of pairs the score.
    """
    rows = _rows(labels, task)
    known = _known(rows)
    low, high = (np.iinfo(np.int64).min, np.iinfo(np.int64).max) if rows.dtype.kind in "iu" else (-np.inf, np.inf)
    least, most = rows.min(axis=0, initial=high, where=known), rows.max(axis=0, initial=low, where=known)
    return None if (least < most).any() else np.asarray(np.where(known.any(axis=0), least, np.nan), np.float64)


def _rows(labels: AnyArray, task: Task) -> AnyArray:
    """(M, K) what may be known of labels: of a dense task every place, of pairs the score and not the pair's number."""
    if task.pairs:
        return labels[:, 1:]
    return labels.reshape(-1, 1) if task.dense or labels.ndim == 1 else labels


def _is_ours(task: Task) -> bool:
    """Whether a task is one of the package, of which it is known what a label means that is not there."""
    return type(task).__module__.startswith("edgekd.")


def _known(labels: AnyArray) -> NDArray[np.bool_]:
    """Where there is a label."""
    if labels.dtype.kind == "f":
        return np.asarray(~np.isnan(labels))
    return np.asarray((labels != IGNORED) & (labels != UNKNOWN))
