"""Classes of which one is right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.scores import divergence, lead, softmax
from edgekd.tasks import _classes
from edgekd.tasks._base import HUB_OF_CLASSES, Floats, Hits, Off, Record, Scores, Task, share_of_range
from edgekd.tasks._classes import At, Numbered
from edgekd.tasks._predictions import Prediction

CLASSES = 16  # whose scores are written down, the best first
SLACK = 0.05  # of a probability, where but the best class's is written down
TINY = 1e-30  # of a probability: nobody needs what is below


@dataclass(frozen=True)
class Classification(Task):
    """(N, K) logits of K classes, of which the best is the answer; a label is the number of a class.

    An app is told the softmax. A ranking of items is one as well: the label is the item that comes next.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "class")
    hub: ClassVar[Mapping[str, str]] = HUB_OF_CLASSES
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "agreement", "auc", "hit_rate", "macro_f1", "ndcg", "mse")
    losses: ClassVar[tuple[str, ...]] = (
        *("kl", "cross_entropy", "soft_cross_entropy", "decoupled_kl", "dist", "ranking", "squared_error"),
    )
    label_loss: ClassVar[str] = "cross_entropy"
    program: ClassVar[str] = "class"
    link: ClassVar[Literal["softmax", "sigmoid", ""]] = "softmax"
    row_labels: ClassVar[bool] = False
    unit: ClassVar[str] = "bit"
    certainties: ClassVar[tuple[str, ...]] = ("probability", "margin", "energy")
    holds: ClassVar[str] = "scores of {} classes"
    prints: ClassVar[str] = "answer.label, answer.score"
    limits: ClassVar[tuple[str, ...]] = (
        "It knows its classes alone: whatever it is shown, one of them is its answer.",
    )

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task`` and ``_classes.numbered``: a label is a name, or counts the names."""
        return _classes.numbered(labels, names, at, where)

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: (N,) whole numbers in 0..K-1."""
        if labels.ndim != 1 or len(labels) != count:
            what, shape = "as many labels as samples are needed", labels.shape
            raise DataError(what, where=where, found=shape, allowed=f"({count},)")
        if labels.dtype.kind not in "iu":
            allowed = "an integer dtype"
            raise DataError("labels are whole numbers", where=where, found=str(labels.dtype), allowed=allowed)
        if len(labels) and (labels.min() < 0 or labels.max() >= size):
            bad = int(np.flatnonzero((labels < 0) | (labels >= size))[0])
            place, allowed = f"{int(labels[bad])} at sample {bad}", f"0 to {size - 1}"
            raise DataError("a label out of range", where=where, found=place, allowed=allowed)

    def check_learned(
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """See ``Task``: two classes at least have training samples; where ``every`` does, all of them."""
        counts = np.bincount(labels["train"], minlength=len(names))
        if (counts > 0).sum() < 2:
            only_class = names[int(counts.argmax())]
            raise DataError("one class only", where=where, found=only_class, allowed="at least two classes")
        missing = np.flatnonzero(counts == 0)
        if not len(missing) or not every:
            return
        others = [split for split, y in labels.items() if split != "train" and (y == missing[0]).any()]
        alone = f", only in {' and '.join(others)}" if others else ""
        more = f"; {len(missing)} classes have none" if len(missing) > 1 else ""
        hint = "give it samples (a larger limit, a smaller share carved off), or leave it out of the class names"
        hint = f"{_classes.VALUES}; {hint}" if _classes.is_value(names[missing[0]]) else hint
        raise DataError(
            f"a class without a training sample{alone}: nothing can be learned of it{more}",
            where=where,
            found=names[missing[0]],
            allowed="at least one sample of each class",
            hint=hint,
        )

    def answers(self, scores: AnyArray) -> AnyArray:
        """(N,) the best classes."""
        return scores.argmax(1)

    def picks(self, labels: AnyArray, size: int) -> Hits:
        """See ``Task``."""
        return np.asarray(labels[:, None] == np.arange(size))

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """See ``Task``: the same best class."""
        return np.asarray(one.argmax(-1) == other.argmax(-1))

    def lead(self, scores: AnyArray) -> AnyArray:
        """(N,) the best score less the second; of one score alone its size."""
        return lead(scores)

    def certainty(self, scores: AnyArray, by: str, temperature: float) -> Floats:
        """See ``Task``. Of scores s, best first, at temperature T, with r = sum over i > 1 of exp((s_i - s_1) / T):

        ``probability``: the logarithm of the best class's, -log(1 + r), <= 0: 1 - 1e-20 and 1 - 1e-30 are not alike;
        ``energy``: T log sum exp(s / T) = s_1 + T log(1 + r) (Liu et al. 2020, Energy-based out-of-distribution
        detection, less its sign).
        """
        if by == "margin":
            return super().certainty(scores, by, temperature)
        exact = scores.astype(np.float64)
        best = exact.max(-1, keepdims=True)
        parts = np.exp((exact - best) / temperature)
        np.put_along_axis(parts, exact.argmax(-1)[..., None], 0, -1)
        rest = np.log1p(parts.sum(-1))
        return np.asarray(-rest if by == "probability" else best[..., 0] + temperature * rest)

    def margin(self, scores: Scores) -> Scores:
        """See ``Task``."""
        if scores.shape[1] == 1:
            return np.ones(len(scores), np.float32)
        return share_of_range(self.lead(scores), scores)

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """See ``Task``.

        Where two classes all but tie, rounding decides, and neither answer is wrong: ``wanted`` must prefer its own
        best score to the other answer's.
        """
        rows = np.arange(len(wanted))
        ahead = wanted.max(-1).astype(np.float64) - wanted[rows, got.argmax(-1)]
        return np.asarray(ahead > tolerance * float(wanted.max() - wanted.min()))

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) the Jensen-Shannon divergence, 0..1 bit."""
        return divergence(one, other)

    def shares(self, scores: AnyArray) -> Floats:
        """See ``Task``: the softmax."""
        return softmax(scores)

    def decode(self, shares: Floats, names: Sequence[str]) -> Prediction:
        """See ``Task``."""
        index = int(shares.argmax())
        return Prediction(names[index], index, float(shares[index]), tuple(shares.tolist()))

    def record(self, decided: Prediction) -> Record:
        """See ``Task``: the best class, and the scores of the best few."""
        best = sorted(range(len(decided.scores)), key=lambda index: -decided.scores[index])[:CLASSES]
        scores = [(index, float(f"{decided.scores[index]:.6g}")) for index in best]
        score = float(f"{decided.score:.6g}")
        return {"index": decided.index, "label": decided.label, "score": score, "scores": scores}

    def decision(self, record: Record) -> object:
        """See ``Task``."""
        return record["index"], record["label"]

    def labels(self, record: Record) -> list[str] | None:
        """See ``Task``."""
        return [record["label"]]

    def in_words(self, record: Record) -> str:
        """See ``Task``."""
        return str(record["label"])

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``: logarithms of probabilities differ as logits do."""
        return [_log(score) for _, score in record.get("scores", ())]

    def off(self, decided: Prediction, record: Record, slack: float) -> Iterator[Off]:
        """See ``Task``. Where but the best score is written down (before format 2 knew more), it is a probability."""
        best = (record["index"], record["score"])
        for index, before in (best, *record.get("scores", ())):
            now = decided.scores[index] if index < len(decided.scores) else math.nan
            in_logs = "scores" in record
            apart = abs(_log(now) - _log(before)) / slack if in_logs else abs(now - before) / SLACK
            yield Off(f"class {index}", now, before, apart)


def _log(score: float) -> float:
    return math.log(max(score, TINY))
