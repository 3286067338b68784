"""What candidates are scored on: samples prepared as an app prepares them, one shipped batch at a time.

An int8 kernel may answer one sample otherwise than 256 (OpenVINO 2026.4's fully connected layers did: test accuracy 1.0
at batch 256, 0.25 at batch 1), so that every figure that is told of a file comes from the batch an app runs.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base import bootstrap
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.errors import RecipeError
from edgekd.base.preprocess import Inputs
from edgekd.base.scores import answered
from edgekd.learn.feed import Feed, groups, some
from edgekd.metrics import Evaluator, cut
from edgekd.runtime import batches
from edgekd.runtime.backend import Session

Scores = NDArray[np.float32]
V = TypeVar("V", bound=Samples)
SPLITS = ("train", "validation", "test")
MOST_SECONDS = 60.0  # of scoring one candidate on one split
FEWEST = 1_000  # samples that are scored in any case, where a split has them
SCORED_ANEW = 200  # resamples, of a metric that is no mean over samples
_COLD, _PROBED = 1, 8  # runs that are not timed, and samples that are


@dataclass(frozen=True)
class EvaluationSet:
    """What a candidate is examined on.

    Attributes:
        feed: the student's.
        said: the teacher's logits over a whole split.
        judge: what a split's scores are measured by.
        rows: the samples of each split that are scored, by number, rising.
        answered: how many of each there are that a teacher answers: of the others nobody can say how far a student
            falls behind it.
    """

    feed: Feed
    said: Callable[[str], Scores]
    evaluator: Evaluator
    rows: Mapping[str, NDArray[np.int64]]
    answered: Mapping[str, int]

    @classmethod
    def of(
        cls, feed: Feed, teacher: Callable[[str], Scores], evaluator: Evaluator, *, may_miss: bool = True
    ) -> EvaluationSet:
        """The exam that a feed sets: every sample, of validation and test those that the teacher answers.

        Args:
            may_miss: it may have no answer to some; else it is not asked yet: a search looks at no test split.

        Raises:
            RecipeError: it answers none of a split.
        """
        rows = {name: np.arange(feed.length(name)) for name in SPLITS}
        for name in ("validation", "test") if may_miss else ():
            known = answered(teacher(name))
            rows[name] = rows[name][known]
            if not known.any():
                hint = "a student is held against its teacher there: record its answers to that split, too"
                raise RecipeError(f"answers no sample of {name}", where="teacher", hint=hint)
        return cls(feed, teacher, evaluator, rows, {name: len(index) for name, index in rows.items()})

    def within(self, seconds: float) -> EvaluationSet:
        """The same exam, of each split so many samples as a candidate of so many seconds a sample scores in a minute.

        At least 1,000; drawn at random, the same ones each time, so that candidates and teacher are compared on them.
        """
        rows = {
            name: of[some(len(of), counted(len(of), seconds), self._together(name))] for name, of in self.rows.items()
        }
        return replace(self, rows=rows)

    def length(self, split: str) -> int:
        """How many samples of a split are scored."""
        return len(self.rows[split])

    def whole(self, split: str) -> bool:
        """Whether all are."""
        return self.length(split) == self.feed.length(split)

    def left_out(self, target: str) -> list[str]:
        """Sentences for the user where not all samples are scored."""
        why = f"drawn at random: all of them would take more than {MOST_SECONDS:.0f} s"
        return [
            f"{target}: {self.length(split):,} of {self.answered[split]:,} {split} samples are scored, {why}"
            for split in ("validation", "test")
            if self.length(split) < self.answered[split]
        ]

    def unanswered(self) -> list[str]:
        """Sentences for the user where a teacher does not answer all samples."""
        totals = {split: self.feed.length(split) for split in ("validation", "test")}
        return [
            f"{total - self.answered[split]:,} of {total:,} {split} samples have no answer of the teacher: no figure "
            "is of them"
            for split, total in totals.items()
            if self.answered[split] < total
        ]

    def of_rows(self, split: str, values: V) -> V:
        """Of something with an entry for each sample of a split, those that are scored."""
        scored: V = values if self.whole(split) else values[self.rows[split]]
        return scored

    def _together(self, split: str) -> NDArray[np.int64] | None:
        """Which of the scored samples belong together, see ``Task.together``."""
        of = self.feed.together(split)
        return None if of is None else self.of_rows(split, of)

    @property
    def labels(self) -> dict[str, NDArray[np.int64] | None]:
        """By split; None where the data has none."""
        labels = {name: self.feed.labels(name) for name in SPLITS}
        return {name: None if y is None else self.of_rows(name, y) for name, y in labels.items()}

    def teacher(self, split: str) -> Scores:
        """The teacher's logits, (N, K)."""
        return self.of_rows(split, self.said(split))

    def raw(self, split: str) -> Samples:
        """Raw samples, (N, ...)."""
        return self.of_rows(split, self.feed.raw(split))

    def number(self, split: str, i: int) -> int:
        """The number of a sample in the split as the data has it."""
        return self.feed.number(split, int(self.rows[split][i]))

    def inputs(self, split: str, index: NDArray[np.int64]) -> Inputs:
        """The model inputs of some samples, as ``predict`` makes them of a batch."""
        return self.feed.plain(split, self.rows[split][index])

    def first(self, split: str, count: int) -> Inputs:
        """The model inputs of the first samples."""
        return self.inputs(split, np.arange(min(count, self.length(split))))

    def cuts(self, scores: Scores) -> list[float]:
        """The thresholds of labels that scores over validation choose, see ``Evaluator.cuts``: with them whoever says
        these is judged on every split."""
        return self.evaluator.cuts(scores, self.labels["validation"], self.teacher("validation"))

    def value(self, split: str, scores: Scores, cuts: Sequence[float] = ()) -> float:
        """The metric of some scores over a whole split."""
        return self.evaluator(cut(scores, cuts), self.labels[split], self.teacher(split), self.raw(split))

    def by_head(self, split: str, scores: Scores, cuts: Sequence[float] = ()) -> dict[str, float]:
        """The value of each head, of which ``value`` is the mean."""
        return self.evaluator.by_head(cut(scores, cuts), self.labels[split], self.teacher(split), self.raw(split))

    def teacher_value(self, split: str) -> float:
        """The teacher's own."""
        return self.value(split, self.teacher(split), self.teacher_cuts)

    @functools.cached_property
    def teacher_cuts(self) -> list[float]:
        """See ``cuts``."""
        return self.cuts(self.teacher("validation"))

    def resampled(self, split: str, scores: Scores, cuts: Sequence[float] = ()) -> Callable[[NDArray[np.int64]], float]:
        """The metric of a resample of a split; see ``Evaluator``."""
        return self.evaluator.resampled(cut(scores, cuts), self.labels[split], self.teacher(split), self.raw(split))

    def draws(self, split: str, scores: Scores) -> bootstrap.Resamples:
        """Resamples of a split, always the same; fewer where each has to be scored anew."""
        of = self.feed.drawn_by(split)
        return self.evaluator.draws(scores, self.raw(split), None if of is None else groups(self.of_rows(split, of)))

    def intervals(self, split: str, scores: Scores, cuts: Sequence[float] = ()) -> dict[str, list[float]]:
        """95 % intervals of a candidate's value and of its drop against the teacher, over the same resamples.

        A bootstrap over samples (Efron and Tibshirani 1993, chapter 13): it knows nothing of another training.
        """
        mine = self.resampled(split, scores, cuts)
        teachers = self.resampled(split, self.teacher(split), self.teacher_cuts)
        mean = self.evaluator.is_mean
        drawn = self.draws(split, scores)
        drawn = drawn if mean else drawn.first(SCORED_ANEW)
        pairs = [(mine(index), teachers(index)) for index in drawn]
        return {
            "value_ci95": list(bootstrap.interval([value for value, _ in pairs])),
            "drop_ci95": list(bootstrap.interval([teacher - value for value, teacher in pairs])),
        }

    def scores(self, session: Session, split: str, batch: int, count: int | None = None) -> Scores:
        """What a session says to a split, or to its first ``count`` samples: (N, K), several heads side by side.

        Args:
            batch: as the session ships.
        """
        rows = np.arange(self.length(split) if count is None else min(count, self.length(split)))
        outputs = batches.over(session, lambda index: self.inputs(split, index), rows, batch)
        return joined(outputs)

    def seconds(self, session: Session, split: str, batch: int) -> float:
        """Seconds a sample of scoring a split, preparation included, from a few samples."""
        rows = np.arange(min((_COLD + _PROBED) * batch, self.length(split)))
        cold, timed = rows[: _COLD * batch], rows[_COLD * batch :]
        batches.over(session, lambda index: self.inputs(split, index), cold, batch)
        started = time.perf_counter()
        if len(timed):
            batches.over(session, lambda index: self.inputs(split, index), timed, batch)
        return (time.perf_counter() - started) / max(len(timed), 1)


def joined(outputs: Mapping[str, AnyArray]) -> Scores:
    """The scores of several heads side by side, (N, K)."""
    return np.concatenate(list(outputs.values()), axis=1).astype(np.float32)


def counted(total: int, seconds: float) -> int:
    """How many of a split's samples are scored: all, or what a minute is enough for in whole thousands."""
    if total * seconds <= MOST_SECONDS:
        return total
    return min(total, max(FEWEST, int(MOST_SECONDS / seconds) // FEWEST * FEWEST))
