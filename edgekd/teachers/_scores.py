"""What (N, K) numbers of every class are: scores, shares, percentages or votes; and the logits of these."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.learn.answers import blocks
from edgekd.tasks import Task
from edgekd.teachers import _links
from edgekd.teachers._base import first
from edgekd.teachers._cells import Numbers
from edgekd.teachers._columns import Columns
from edgekd.teachers._few import SLACK, log, refuse, slack

# What numbers are: ``percentages`` and ``votes`` are what the form ``probabilities`` may turn out to be.
Unit = Literal["logits", "probabilities", "log_probabilities", "percentages", "votes"]
TENTH, MOST_TENTHS = 0.05, 0.25  # what a share of one decimal may be off; and all of a row together
WAYS = 'teacher.model.form = "logits" takes numbers of any sum'
COUNTED = 'teacher.model.form = "probabilities" counts them as votes, "logits" takes them as scores'
SAYS = {"percentages": "rows sum to 100: percentages", "votes": "whole numbers: votes, which count by their share"}
Rows = NDArray[np.float32]


@dataclass
class Tally:
    """How many rows of K numbers are what, of those that are complete.

    Attributes:
        rows: all.
        shares: those that are none below 0 and sum to 1, but for their rounding; ``exact``: to two decimals at least.
        percentages: those that are none below 0 and sum to 100.
        probabilities: those within 0..1.
        counts: those of whole numbers, none below 0; ``most`` is the largest sum of one.
    """

    rows: int = 0
    shares: int = 0
    exact: int = 0
    percentages: int = 0
    probabilities: int = 0
    counts: int = 0
    most: float = 0.0

    def add(self, table: NDArray[np.float64]) -> None:
        """Further rows."""
        table = table[~np.isnan(table).any(axis=1)]
        total, positive = table.sum(axis=1), (table >= 0).all(axis=1)
        is_whole = positive & (table == np.rint(table)).all(axis=1)
        self.rows += len(table)
        self.shares += int((positive & sums_to_1(table)).sum())
        self.exact += int((positive & (np.abs(total - 1) <= slack(table.shape[1]))).sum())
        self.percentages += int((positive & sums_to_1(table / 100)).sum())
        self.probabilities += int((positive & (table <= 1).all(axis=1)).sum())
        self.counts += int(is_whole.sum())
        self.most = max(self.most, float(total[is_whole].max(initial=0.0)))

    @property
    def are_votes(self) -> bool:
        """Whether all are whole numbers, and some of more than one vote."""
        return 0 < self.rows == self.counts and self.most > 1

    def most_of(self, count: int) -> bool:
        """Whether so many are half of all, or more: the others are mistakes then, and no other unit."""
        return 0 < self.rows <= 2 * count


def sums_to_1(table: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether shares sum to 1, but for rounding: to two decimals, or to one where all of a row are."""
    total, tenths = table.sum(axis=1), table * 10
    with np.errstate(invalid="ignore"):  # Inf - Inf
        is_rounded = (np.abs(tenths - np.rint(tenths)) < 1e-6).all(axis=1)
        above = np.minimum(TENTH * (table > 0).sum(axis=1), MOST_TENTHS) + 1e-6
        below = min(TENTH * table.shape[1], MOST_TENTHS) + 1e-6
        fits: NDArray[np.bool_] = np.abs(total - 1) <= slack(table.shape[1])
        fits |= is_rounded & (total - 1 <= above) & (1 - total <= below)
    return fits


def guessed(table: Numbers, task: Task, where: str) -> tuple[Unit, str]:
    """What (N, K) numbers are of which nobody said it, and why; of values there is but one.

    Raises:
        DataError: whole numbers, which may be votes, or scores.
    """
    if task.link == "":
        return "logits", ""
    tally = _tally(table)
    if not task.exclusive:
        known = tally.most_of(tally.probabilities)
        which = "all" if tally.rows == tally.probabilities else "nearly all"
        return ("probabilities", f"{which} lie in 0..1") if known else ("logits", "not all lie in 0..1")
    if tally.rows and tally.exact == tally.rows:
        return "probabilities", "all rows sum to 1"
    if tally.rows and tally.shares == tally.rows:
        return "probabilities", "all rows sum to 1 but for their rounding, which is made good"
    if tally.most_of(tally.percentages):
        return "percentages", "all rows sum to 100"
    if tally.are_votes:
        most = f"whole numbers that sum to {tally.most:g}"
        raise DataError("votes or scores?", where=where, found=most, allowed="rows that sum to 1, or 100", hint=COUNTED)
    if tally.most_of(tally.shares):
        return "probabilities", "nearly all rows sum to 1"
    return "logits", "not all rows sum to 1"


def unit(form: str, table: Numbers, task: Task, is_exact: bool = False) -> Unit:
    """What numbers are of which it is said that they are of a form: probabilities may be percentages, or votes."""
    if form != "probabilities" or not task.exclusive or is_exact:
        return form  # type: ignore[return-value]
    tally = _tally(table, at_most=1)
    if tally.most_of(tally.percentages):
        return "percentages"
    return "votes" if tally.are_votes else "probabilities"


def _tally(table: Numbers, at_most: int | None = None) -> Tally:
    tally = Tally()
    for block in islice(blocks(table.shape), at_most):
        tally.add(np.asarray(table[block], np.float64))
    return tally


def logits(table: NDArray[np.float64], form: Unit, columns: Columns, task: Task) -> Rows:
    """(N, K) numbers as logits.

    Raises:
        DataError: a row is filled in part; shares that are none, or of classes do not sum to 1.
    """
    empty = np.isnan(table)
    if (part := np.flatnonzero(empty.any(axis=1) & ~empty.all(axis=1))).size:
        places = first(columns.place(int(i)).removeprefix(f"{columns.where}, ") for i in part)
        raise DataError("rows without a number for some class", where=columns.where, found=places)
    known = ~empty[:, 0]
    if not np.isfinite(table[known]).all() and form != "log_probabilities":
        bad = np.flatnonzero(np.isinf(table).any(axis=1))
        raise DataError("not finite", where=columns.place(int(bad[0])), found=f"Inf, in {len(bad):,} rows")
    if form == "logits":
        return table.astype(np.float32)
    shares = np.exp(table) if form == "log_probabilities" else table / 100 if form == "percentages" else table
    if not task.exclusive:
        return _links.of_probabilities(shares, task, columns)
    total, is_low = table.sum(axis=1), (shares < -SLACK).any(axis=1)
    if form == "votes":
        is_odd = is_low | (total < 1) | (table != np.rint(table)).any(axis=1)
        shares = table / np.maximum(total, 1)[:, None]
    else:
        is_odd = is_low | ~sums_to_1(shares)
    refuse(known & is_odd, total if form in ("percentages", "votes") else shares.sum(axis=1), columns, WAYS)
    return log(shares)
