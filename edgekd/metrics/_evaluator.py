"""A metric at work: over every head of a task, with or without labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base import bootstrap, label_thresholds, plugins
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.errors import FactoryError
from edgekd.metrics._base import Metric, PerSample, Resampling, Scores, decides, mean_of, sees_vectors
from edgekd.metrics._by_head import ByHead, of_head
from edgekd.tasks import Heads


@dataclass(frozen=True)
class Evaluator:
    """The recipe's metric; the values of several heads are averaged.

    Attributes:
        metric: of every head, or of each its own.
        heads: what the columns of the scores mean.
    """

    metric: Metric | ByHead
    heads: Heads

    def __call__(self, scores: Scores, labels: AnyArray | None, teacher: Scores | None, raw: Samples) -> float:
        """The value of a split.

        Args:
            scores: (N, C); labels: see ``Heads``; None: the teacher's answers count as labels.
            teacher: (N, C), where there are no labels or the metric is held against the teacher.
            raw: (N, ...) raw samples.

        Raises:
            FactoryError: a metric of the user's own raised, or says no finite number.
        """
        return float(np.mean(list(self.by_head(scores, labels, teacher, raw).values())))

    def by_head(
        self, scores: Scores, labels: AnyArray | None, teacher: Scores | None, raw: Samples
    ) -> dict[str, float]:
        """The value of each head; see ``__call__``."""
        return self._by_head(scores, labels, teacher, raw, list(self.heads))

    def _by_head(
        self, scores: Scores, labels: AnyArray | None, teacher: Scores | None, raw: Samples, heads: Collection[str]
    ) -> dict[str, float]:
        """The value of some heads."""
        pairs = self._pairs(scores, labels, teacher, heads)
        values = {
            name: plugins.call_user(of_head(self.metric, name), "metric", *pair, raw) for name, pair in pairs.items()
        }
        return {name: float(_checked(of_head(self.metric, name), one, scores, ())) for name, one in values.items()}

    @property
    def is_mean(self) -> bool:
        """Whether a value is the mean of one of each sample; of a dense task a sample with more places counts more."""
        return not self.heads.dense and len(self._of_samples) == len(self.heads)

    @property
    def _of_samples(self) -> dict[str, PerSample]:
        """By head, the metrics that are a mean over samples."""
        metrics = {name: of_head(self.metric, name) for name in self.heads}
        return {name: metric for name, metric in metrics.items() if isinstance(metric, PerSample)}

    def per_sample(
        self, scores: Scores, labels: AnyArray | None, teacher: Scores | None, raw: Samples
    ) -> NDArray[np.float64] | None:
        """(N, H) what each sample gives to each head, NaN: nothing; None where the metric is no mean over samples."""
        if not self.is_mean:
            return None
        metrics, pairs, shape = self._of_samples, self._pairs(scores, labels, teacher), (len(scores),)
        values = {
            name: plugins.call_user(metrics[name].per_sample, "metric", *pair, raw) for name, pair in pairs.items()
        }
        return np.stack([_checked(metrics[name], one, scores, shape) for name, one in values.items()], axis=1)

    def resampled(
        self, scores: Scores, labels: AnyArray | None, teacher: Scores | None, raw: Samples
    ) -> Callable[[NDArray[np.int64]], float]:
        """The value of samples by their numbers, which may be drawn twice: of what each gives where the metric is a
        mean, else scored anew, but for heads whose metric tells it faster, see ``Resampling``.
        """
        values = self.per_sample(scores, labels, teacher, raw)
        if values is not None:
            # Head by head: a sample that tells nothing of one tells something of another.
            return lambda index: float(np.mean([mean_of(of_head) for of_head in values[index].T]))
        quick = self._resampling(scores, labels, teacher)
        others = [name for name in self.heads if name not in quick]

        def value(index: NDArray[np.int64]) -> float:
            by_head = {name: of(index) for name, of in quick.items()}
            if others:
                some = None if labels is None else labels[index], None if teacher is None else teacher[index]
                by_head |= self._by_head(scores[index], *some, raw[index], others)
            return float(np.mean(list(by_head.values())))

        return value

    def cuts(self, scores: Scores, labels: AnyArray | None, teacher: Scores | None) -> list[float]:
        """(W,) the thresholds, as logits, that scores over validation choose: of each label the one with the best F1.

        0 of every other output; empty where nothing is chosen. Judged at a probability of 0.5, students of 28 labels
        that apply to 0.2 to 33 % of the samples have a macro F1 of 0.00 for the first epochs, whatever they learned,
        and training ends.

        Args:
            scores, labels, teacher: as for ``__call__``.
        """
        chosen = [name for name, task in self.heads.tasks.items() if task.chooses and task.false_alarms is None]
        chosen = [name for name in chosen if decides(of_head(self.metric, name))]
        if not chosen or not np.isfinite(scores).all():
            return []
        values, parts = np.zeros(self.heads.width), self.heads.split(scores)
        for name in chosen:
            wanted = self._wanted_of(name, self.heads.labels_of(labels, name), teacher)
            values[self.heads.columns[name]] = label_thresholds.of_columns(parts[name], wanted)
        return values.tolist()

    def draws(self, scores: Scores, raw: Samples, groups: NDArray[np.int64] | None = None) -> bootstrap.Resamples:
        """Resamples of a split, always the same; fewer where each has to be scored anew; ``groups``: see there."""
        values = 1 if self.is_mean else scores[0].size + np.asarray(raw[0]).size
        return bootstrap.draws(len(scores), values, groups=groups)

    def _resampling(
        self, scores: Scores, labels: AnyArray | None, teacher: Scores | None
    ) -> dict[str, Callable[[NDArray[np.int64]], float]]:
        """By head, see ``Resampling``: of samples as wholes, or of one value at each place, held against labels."""
        values = {}
        for name, part in self.heads.split(scores).items():
            task, metric, y = self.heads.tasks[name], of_head(self.metric, name), self.heads.labels_of(labels, name)
            if not task.dense or not isinstance(metric, Resampling):
                continue
            if getattr(metric, "whole", False):
                pair = self._pair(name, part, self._wanted_of(name, y, teacher), labels)
            elif self.heads.shapes[name][task.axis] == 1 and y is not None:
                pair = task.judged(part).reshape(len(part), -1), y.reshape(len(part), -1)
            else:
                continue
            values[name] = plugins.call_user(metric.resampled, "metric", *pair)
        return values

    def _pairs(
        self, scores: Scores, labels: AnyArray | None, teacher: Scores | None, heads: Collection[str] | None = None
    ) -> dict[str, tuple[AnyArray, AnyArray]]:
        """The scores of each head, and what they are held against, as the metric takes them.

        Of a dense task these are the places of all samples, but those without a label; a metric of samples as wholes
        gets (N, P, C) and (N, P), with -1 and ``IGNORED`` where there is none.
        """
        wanted = self._wanted(labels, teacher)
        parts = {name: part for name, part in self.heads.split(scores).items() if heads is None or name in heads}
        return {name: self._pair(name, part, wanted[name], labels) for name, part in parts.items()}

    def _pair(
        self, name: str, scores: AnyArray, wanted: AnyArray, labels: AnyArray | None
    ) -> tuple[AnyArray, AnyArray]:
        """See ``_pairs``."""
        task, metric = self.heads.tasks[name], of_head(self.metric, name)
        if task.dense:
            return self._by_place(name, task.judged(scores), wanted, labels)
        if metric.against == "teacher" or sees_vectors(metric):
            return task.judged(scores), wanted
        return task.compared(scores, wanted)

    def _by_place(
        self, name: str, scores: AnyArray, wanted: AnyArray, labels: AnyArray | None
    ) -> tuple[AnyArray, AnyArray]:
        """See ``_pairs``."""
        task, shape = self.heads.tasks[name], self.heads.shapes[name]
        rows = task.rows(scores, shape)
        if of_head(self.metric, name).against == "teacher":
            theirs = task.rows(wanted, shape)
            y = self.heads.labels_of(labels, name)
            known = (theirs != 0).any(axis=1) if y is None else y.reshape(-1) >= 0
            return rows[known], theirs[known]
        right = wanted.reshape(len(wanted), -1)
        if getattr(of_head(self.metric, name), "whole", False):
            return rows.reshape(*right.shape, -1), right
        known = right.reshape(-1) >= 0
        return rows[known], task.label_rows(right)[known]

    def _wanted(self, labels: AnyArray | None, teacher: Scores | None) -> dict[str, AnyArray]:
        """What each head is held against."""
        return {name: self._wanted_of(name, self.heads.labels_of(labels, name), teacher) for name in self.heads}

    def _wanted_of(self, name: str, labels: AnyArray | None, teacher: Scores | None) -> AnyArray:
        """The labels of a head, or what the teacher answers."""
        against = of_head(self.metric, name).against
        if labels is not None and against == "labels":
            return labels
        if teacher is None:
            raise ValueError("neither labels nor a teacher's answers to hold the scores against")
        task, theirs = self.heads.tasks[name], self.heads.split(teacher)[name]
        return task.judged(theirs) if against == "teacher" else task.answers(theirs)


def cut(scores: Scores, cuts: Sequence[float]) -> Scores:
    """(N, W) scores less ``Evaluator.cuts``: those of labels that apply are 0 or above."""
    return (scores.astype(np.float64) - cuts).astype(scores.dtype) if len(cuts) else scores


def _checked(metric: Metric | PerSample, answer: object, scores: Scores, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """What a metric said, which may be a user's: numbers, finite where the scores are.

    Raises:
        FactoryError: it said something else.
    """
    try:
        values = np.asarray(answer)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, a tensor that wants a gradient
        values = np.asarray(None)
    numbers = values.dtype.kind in "fiub" and values.shape == shape
    partly = bool(shape) and isinstance(metric, PerSample) and metric.partly
    finite = numbers and bool((np.isfinite(values) | (np.isnan(values) & partly)).all())
    if not numbers or (np.isfinite(scores).all() and not finite):
        raise FactoryError(
            f"{type(metric).__module__}.{type(metric).__qualname__} says no finite number",
            where="metric",
            found=values[~np.isfinite(values)][0].item() if numbers else answer,
            allowed=f"{shape[0]} numbers, one a sample" if shape else "a number, of the whole split",
        )
    return values.astype(np.float64)
