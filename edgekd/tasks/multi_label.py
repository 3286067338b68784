"""Labels of which none, one or several apply."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, EdgekdError
from edgekd.base.scores import divergence
from edgekd.tasks import _rows
from edgekd.tasks._base import HUB_OF_CLASSES, Floats, Hits, Record, Scores, Task, share_of_range
from edgekd.tasks._classes import At, Numbered
from edgekd.tasks._predictions import Labels


@dataclass(frozen=True)
class MultiLabel(Task):
    """(N, K) logits of K labels, each of which applies or does not; a label is a row of 0 and 1, -1 where unknown.

    An app is told the sigmoid of each, and as labels those at or above the threshold.

    Attributes:
        threshold: a probability, 0 < t < 1, for all labels or for each; absent: each label's own, chosen on validation
            of the files that ship. Until then whoever is compared is judged at its own, see ``Evaluator.cuts``.
        separator: between the labels of one sample where they come as one text.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "label")
    hub: ClassVar[Mapping[str, str]] = HUB_OF_CLASSES
    metrics: ClassVar[tuple[str, ...]] = ("macro_f1", "micro_f1", "average_precision", "auc")
    losses: ClassVar[tuple[str, ...]] = ("binary_cross_entropy", "kl", "focal", "squared_error")
    label_loss: ClassVar[str] = "binary_cross_entropy"
    program: ClassVar[str] = "labels"
    link: ClassVar[Literal["softmax", "sigmoid", ""]] = "sigmoid"
    unit: ClassVar[str] = "bit"
    certainties: ClassVar[tuple[str, ...]] = ("margin",)
    holds: ClassVar[str] = "scores of {} labels"
    prints: ClassVar[str] = "answer.labels"
    limits: ClassVar[tuple[str, ...]] = ("It knows its labels alone: what is none of them it can't name.",)

    threshold: float | tuple[float, ...] | None = None
    separator: str = " "

    def __post_init__(self) -> None:
        if not all(0 < threshold < 1 for threshold in self._thresholds) or not self._thresholds:
            raise ValueError("threshold: allowed is a probability above 0 and below 1, or one for each label")
        if not self.separator:
            raise ValueError("separator: allowed is a text")

    @property
    def _thresholds(self) -> tuple[float, ...]:
        """One for all labels, or one for each."""
        if self.threshold is None:
            return (0.5,)
        return self.threshold if isinstance(self.threshold, tuple) else (self.threshold,)

    @property
    def _cuts(self) -> Scores:
        """(1,) or (K,) thresholds as logits, float32 as the scores are: every program compares the same two numbers."""
        return np.array([math.log(threshold / (1 - threshold)) for threshold in self._thresholds], np.float32)

    @property
    def constants(self) -> dict[str, float | list[float]]:
        """See ``Task``."""
        cuts: list[float] = self._cuts.tolist()
        return {"cuts": cuts} if isinstance(self.threshold, tuple) else {"cut": cuts[0]}

    @property
    def chooses(self) -> bool:
        """See ``Task``."""
        return self.threshold is None

    def decided_at(self, thresholds: Sequence[float]) -> MultiLabel:
        """See ``Task``."""
        return replace(self, threshold=tuple(thresholds))

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: (N, K) of 0 and 1 (-1, or NaN in floats: unknown), lists of names or numbers, or texts of
        names with the separator between; an empty one has none."""
        if all(_rows.is_matrix(values) for values in labels.values()):
            rows = {split: _rows.bits(values, split, at) for split, values in labels.items()}
            return _rows.named_columns(rows, names, "label", at, where)
        lists = {split: _rows.lists(values, self.separator, split, at) for split, values in labels.items()}
        notes = _rows.check_separator(lists, self.separator, at) if names is None else ()
        known = _rows.of_lists(lists, names, at, where)
        return known._replace(notes=(*known.notes, *notes))

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: (N, K) whole numbers of -1, 0 and 1."""
        _rows.check_shape(labels, count, size, where)
        if labels.dtype.kind not in "iu" or (labels.size and (labels.min() < -1 or labels.max() > 1)):
            low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
            span = f"{labels.dtype} {low} to {high}"
            raise DataError(
                "labels that apply or do not", where=where, found=span, allowed="whole numbers: 0, 1, or -1"
            )

    def check_learned(
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """See ``Task``: each label applies to one training sample at least, and not to all."""
        for what, value in (("a label of no training sample", 1), ("a label of every training sample", 0)):
            missing = ~(labels["train"] == value).any(axis=0)
            if missing.any():
                more = f"; so have {int(missing.sum()) - 1} others" if missing.sum() > 1 else ""
                allowed = "samples that have it, and samples that have not"
                name = names[int(missing.argmax())]
                raise DataError(
                    f"{what}: nothing can be learned of it", where=where, found=name + more, allowed=allowed
                )

    def check_size(self, size: int, where: str, error: type[EdgekdError]) -> None:
        """See ``Task``."""
        if isinstance(self.threshold, tuple) and len(self.threshold) != size:
            count = f"{len(self.threshold)} thresholds"
            raise error("a threshold for each label", where=f"{where}.threshold", found=count, allowed=f"{size}")

    def judged(self, scores: AnyArray) -> AnyArray:
        """See ``Task``."""
        return scores - self._cuts.astype(scores.dtype)

    def answers(self, scores: AnyArray) -> AnyArray:
        """(N, K) of 0 and 1."""
        return (scores >= self._cuts).astype(np.int64)

    def picks(self, labels: AnyArray, size: int) -> Hits:
        """See ``Task``."""
        return np.asarray(labels == 1)

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """See ``Task``: every label applies in both, or in neither."""
        return np.asarray((self.answers(one) == self.answers(other)).all(axis=-1))

    def lead(self, scores: AnyArray) -> AnyArray:
        """(N,) how far the score nearest to its threshold is from it."""
        return np.abs(self.judged(scores)).min(axis=1)

    def margin(self, scores: Scores) -> Scores:
        """See ``Task``."""
        return share_of_range(self.lead(scores), scores)

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """See ``Task``."""
        far = np.abs(self.judged(wanted.astype(np.float64))) > tolerance * float(wanted.max() - wanted.min())
        return np.asarray(((self.answers(got) != self.answers(wanted)) & far).any(axis=1))

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) the mean over the labels of the Jensen-Shannon divergence of two yes or no, 0..1 bit."""
        pairs = (np.stack([scores, np.zeros_like(scores)], axis=-1).reshape(-1, 2) for scores in (one, other))
        return divergence(*pairs).reshape(one.shape).mean(axis=1)

    def shares(self, scores: AnyArray) -> Floats:
        """See ``Task``: the sigmoid."""
        return 1 / (1 + np.exp(-np.clip(scores.astype(np.float64), -700, 700)))

    def decode(self, shares: Floats, names: Sequence[str]) -> Labels:
        """See ``Task``."""
        # Of the same function as the shares: another exp may differ in the last bit, at the threshold itself.
        indices = tuple(int(i) for i in np.flatnonzero(shares >= self.shares(self._cuts)))
        return Labels(tuple(names[i] for i in indices), indices, tuple(shares.tolist()))

    def record(self, decided: Labels) -> Record:
        """See ``Task``: as logits, since six digits of a probability tell nothing of one near 1."""
        return {"labels": list(decided.labels), "logits": [float(f"{_logit(p):.6g}") for p in decided.scores]}

    def decision(self, record: Record) -> object:
        """See ``Task``."""
        return list(record["labels"])

    def labels(self, record: Record) -> list[str] | None:
        """See ``Task``."""
        return list(record["labels"])

    def in_words(self, record: Record) -> str:
        """See ``Task``."""
        return ", ".join(record["labels"]) or "no label"

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``."""
        return list(record["logits"])


def _logit(share: float) -> float:
    """Of a probability, whose last digits tell logits beyond +-36 no more apart."""
    inside = min(max(share, 1e-300), 1 - 2**-53)
    return math.log(inside) - math.log1p(-inside)
