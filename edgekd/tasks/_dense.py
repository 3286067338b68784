"""Classes at every place of a sample, of which one is right at each: what tags and maps have in common."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.scores import divergence, lead, softmax
from edgekd.tasks._base import IGNORED, Floats, Hits, Scores, Task


class DenseClasses(Task, ABC):
    """(N, *shape) scores, of whose axis ``axis`` the C classes are; a label is a row of P whole numbers.

    What is said of a sample is said of all its places together: two nets decide alike where they do at every one.
    """

    link: ClassVar[Literal["softmax", "sigmoid", ""]] = "softmax"
    unit: ClassVar[str] = "bit"
    dense: ClassVar[bool] = True

    def by_place(self, scores: AnyArray) -> AnyArray:
        """(N, P, C) of (N, *shape) scores."""
        shape = scores.shape[1:]
        return self.rows(scores, shape).reshape(len(scores), -1, shape[self.axis])

    def there(self, rows: AnyArray) -> Hits:
        """(N, P) which places a sample has, of (N, P, C) scores: all of them."""
        return np.ones(rows.shape[:2], np.bool_)

    def answers(self, scores: AnyArray) -> AnyArray:
        """(N, P) the best class of each place; ``IGNORED`` where the sample has none."""
        rows = self.by_place(scores)
        return np.where(self.there(rows), rows.argmax(axis=-1), IGNORED)

    def picks(self, labels: AnyArray, size: int) -> Hits:
        """(N, size) which classes stand at some place."""
        return (labels.reshape(len(labels), -1, 1) == np.arange(size)).any(axis=1)

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """See ``Task``: at every place."""
        return np.asarray((self.answers(one) == self.answers(other)).all(axis=1))

    def lead(self, scores: AnyArray) -> AnyArray:
        """(N,) the lead of the place that is nearest to another class; 0 of a sample without a place."""
        rows = self.by_place(scores)
        leads = lead(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape[:2])
        least = np.where(self.there(rows), leads, np.inf).min(axis=1)
        return np.where(np.isfinite(least), least, 0).astype(scores.dtype)

    def margin(self, scores: Scores) -> Scores:
        """See ``Task``."""
        span = np.float32(max(float(scores.max() - scores.min()), 1e-12))
        return np.asarray(self.lead(scores) / span, np.float32)

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """See ``Task``: at a place that was in no doubt."""
        mine, rows = self.by_place(got), self.by_place(wanted).astype(np.float64)
        chosen = np.take_along_axis(rows, mine.argmax(axis=-1)[..., None], axis=-1)[..., 0]
        ahead = rows.max(axis=-1) - chosen
        return np.asarray((ahead > tolerance * float(wanted.max() - wanted.min())).any(axis=1))

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) the mean over the places of the Jensen-Shannon divergence, 0..1 bit."""
        mine, theirs = self.by_place(one), self.by_place(other)
        known = self.there(theirs)
        bits = divergence(mine[known], theirs[known])
        sample = np.nonzero(known)[0]
        sums = np.bincount(sample, weights=bits, minlength=len(one))
        return np.asarray(sums / np.maximum(known.sum(axis=1), 1), np.float64)

    def shares(self, scores: AnyArray) -> Floats:
        """(N, *shape) the softmax over the classes."""
        last = np.moveaxis(scores, 1 + self.axis, -1)
        return np.moveaxis(softmax(last), -1, 1 + self.axis)

    def shares_of_label(self, label: AnyArray, shape: tuple[int, ...]) -> Floats | None:
        """See ``Task``: 1 for the class of each place, 0 all over where there is no label."""
        classes, before, behind = shape[self.axis], math.prod(shape[: self.axis]), math.prod(shape[self.axis + 1 :])
        is_class = label.reshape(-1, 1) == np.arange(classes)
        return is_class.astype(np.float64).reshape(before, behind, classes).swapaxes(1, 2).reshape(shape)

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: (N, P) whole numbers of 0..C-1, -1 and ``IGNORED``; ``size``: C."""
        if labels.ndim < 2 or len(labels) != count:
            allowed = f"({count}, places)"
            raise DataError("labels of each place are needed", where=where, found=labels.shape, allowed=allowed)
        if labels.dtype.kind not in "iu":
            raise DataError("labels are whole numbers", where=where, found=str(labels.dtype), allowed="int64")
        flat = labels.reshape(count, -1)
        wrong = ((flat < -1) & (flat != IGNORED)) | (flat >= size)
        if wrong.any():
            bad = int(np.flatnonzero(wrong.any(axis=1))[0])
            place = f"{int(flat[bad][wrong[bad]][0])} at sample {bad}"
            raise DataError("a label out of range", where=where, found=place, allowed=f"0 to {size - 1}")

    def check_learned(
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """See ``Task``: two classes at least stand somewhere in the training samples."""
        train = labels["train"]
        counts = np.bincount(train[train >= 0], minlength=len(names))
        if (counts > 0).sum() < 2:
            only_class = names[int(counts.argmax())] if counts.any() else "none"
            raise DataError("one class only", where=where, found=only_class, allowed="at least two classes")
