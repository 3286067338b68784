"""Answers that are no classes of which one is right: probabilities of each label, or values in their unit.

What makes probabilities of a task's scores (``Task.link``) also leads back. A probability p of a label becomes the
logit log p - log(1 - p), whose sigmoid it is; of 0 and of 1 the logarithm is that of the smallest normal float, so that
both are finite: -87.3 and 87.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.tasks import Task
from edgekd.teachers._base import first
from edgekd.teachers._columns import Columns

Rows = NDArray[np.float32]
Numbers = NDArray[np.float64]
TINY = float(np.finfo(np.float32).tiny)
SLACK = 1e-3  # by which a probability may miss 0..1
# By what makes probabilities of the scores: the forms that say nothing of it, and what does.
SENSELESS = {
    "sigmoid": (("top",), "the best few say nothing of the other labels: probabilities of every label, or labels"),
    "": (
        ("probabilities", "log_probabilities", "labels", "top"),
        "logits, or a column for each: the values in their unit",
    ),
}


def check_form(form: str, task: Task, where: str) -> None:
    """Raise DataError where a form of answers says nothing of a task's scores."""
    forms, allowed = SENSELESS.get(task.link, ((), ""))
    if form in forms:
        raise DataError("answers that the task has none of", where=where, found=form, allowed=allowed)


def of_shares(shares: Numbers, task: Task) -> Rows:
    """(..., C) scores of which the task makes these shares; NaN stays NaN."""
    if task.link == "":
        return shares.astype(np.float32)
    with np.errstate(invalid="ignore"):
        logs = np.log(np.maximum(shares, TINY))
        if task.link == "sigmoid":
            logs = logs - np.log(np.maximum(1 - shares, TINY))
    rows: Rows = logs.astype(np.float32)
    return rows


def of_probabilities(shares: Numbers, task: Task, columns: Columns) -> Rows:
    """(N, K) logits of the probabilities of labels, each by itself.

    Raises:
        DataError: what is none; names the first five rows.
    """
    bad = ((shares < -SLACK) | (shares > 1 + SLACK)).any(axis=1)
    if bad.any():
        rows = np.flatnonzero(bad)
        places = first(columns.place(int(i)).removeprefix(f"{columns.where}, ") for i in rows)
        raise DataError("probabilities outside of 0 to 1", where=columns.where, found=places)
    return of_shares(np.clip(shares, 0, 1), task)


def of_labels(columns: Columns, names: Sequence[str], labels: tuple[str, ...], task: Task, smoothing: float) -> Rows:
    """(N, K) logits of which labels apply, as the task reads labels; a cell without anything (None, NaN) is no answer.

    Args:
        names: the columns; several hold a label each, or nothing.
        labels: what the task's columns are called.
        smoothing: the share that is spread over yes and no.

    Raises:
        DataError: what the task does not read as labels, or a row that leaves some open; names it.
    """
    values = columns.values[names[0]]
    if len(names) > 1:
        cells = [[columns.values[name][i] for name in names] for i in range(len(columns))]
        values = [[cell for cell in row if not (cell is None or cell == "")] for row in cells]
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        has_answer, given = np.ones(len(values), bool), values
    else:
        has_answer = np.array([not (value is None or value != value) for value in values])  # NaN is not equal to itself
        given = np.empty(int(has_answer.sum()), object)
        given[:] = [value for value, known in zip(values, has_answer, strict=True) if known]
    places = np.flatnonzero(has_answer)
    numbering = task.numbered({"train": given}, labels, lambda _, i: columns.place(int(places[i])), columns.where)
    applies = numbering.labels["train"].astype(np.float64)
    if (open_rows := (applies < 0).any(axis=1)).any():
        rows = first(columns.place(int(places[i])) for i in np.flatnonzero(open_rows))
        raise DataError("a label that nobody knows", where=columns.where, found=rows, allowed="0 or 1 of each")
    shares = np.full((len(has_answer), len(labels)), np.nan)
    shares[has_answer] = (1 - smoothing) * applies + smoothing / 2
    return of_shares(shares, task)


def mean(logits: Rows, task: Task) -> Rows:
    """(K,) scores of the mean of what (N, K) scores say."""
    return of_shares(task.shares(logits).mean(axis=0), task)
