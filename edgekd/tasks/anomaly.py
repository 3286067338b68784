"""How far a sample is from what is normal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base import false_alarms
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks import _classes, _rows
from edgekd.tasks._alarms import ANOMALOUS, NORMAL, Alarms
from edgekd.tasks._base import Floats, Hits, Record, Scores, share_of_range
from edgekd.tasks._classes import At, Numbered, same_name
from edgekd.tasks._predictions import Anomaly as Answer


@dataclass(frozen=True)
class Anomaly(Alarms):
    """(N, 1) scores, the larger the further from what is normal; a label is 0 of a normal sample, 1 of an anomaly, -1
    where nobody knows. Training labels may all be 0, or -1.

    A sample is an anomaly from the threshold on. It is chosen on the normal samples of validation, of the files that
    ship; until then nothing is decided, and files are compared by their scores.

    Attributes:
        false_alarms: share of normal samples that may be told to be anomalies, 0 < a < 1.
        threshold: a score; absent: chosen by ``false_alarms``.
        normal: what the data calls normal samples where labels are names; all other names are of anomalies.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "value")
    hub: ClassVar[Mapping[str, str]] = {
        "text": "text-classification",  # the hub has no detection of anomalies
        "ink": "image-feature-extraction",
        "picture": "image-feature-extraction",
        "sound": "audio-classification",
        "numbers": "tabular-classification",
    }
    metrics: ClassVar[tuple[str, ...]] = ("auc", "average_precision")
    losses: ClassVar[tuple[str, ...]] = ("squared_error", "deep_sad", "binary_cross_entropy", "huber")
    label_loss: ClassVar[str] = "deep_sad"
    program: ClassVar[str] = "anomaly"
    holds: ClassVar[str] = "{} score, the larger the further from normal"
    prints: ClassVar[str] = "answer.score, answer.is_anomaly"
    limits: ClassVar[tuple[str, ...]] = (
        "Normal is what its training samples are: whatever is new scores high, harmless or not.",
        "Its threshold keeps false alarms rare among samples like those of validation; how many anomalies it finds "
        "nobody promises.",
    )

    normal: str = ""

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: (N,) or (N, 1) of -1 (NaN in floats), 0 and 1; where ``normal`` is given names, or numbers of
        the classes that are named.
        """
        rows: dict[str, AnyArray] = {split: self._bits(values, names, split, at) for split, values in labels.items()}
        if self.normal and not any(same_name(name) == same_name(self.normal) for name in names or (self.normal,)):
            raise DataError("no such class", where="task.normal", found=self.normal, allowed=names)
        names = None if self.normal else names
        if names is not None and len(names) != 1:
            hint = 'task = { kind = "anomaly", normal = "..." } says which class is normal'
            raise DataError(
                "one score a sample", where=where, found=f"{len(names)} names", allowed="1, or none", hint=hint
            )
        return _rows.named_columns(rows, names, "score", at, where)

    def _bits(self, labels: AnyArray, names: tuple[str, ...] | None, split: str, at: At) -> NDArray[np.int64]:
        """(N, 1) of -1, 0 and 1."""
        if self.normal:
            if names is not None and labels.dtype.kind in "iu":
                numbers = _classes.numbered({split: labels}, names, at, split).labels[split]
                called = [names[number] for number in numbers.tolist()]
            else:
                called = [row[0] if row else "" for row in _rows.lists(labels, "\n", split, at)]
            normal = same_name(self.normal)
            return np.array([_number(same_name(name), normal) for name in called], np.int64)[:, None]
        if labels.dtype.kind in "USO":
            labels = _rows.doubles(labels, split, at)
        if labels.dtype.kind not in "biuf" or labels.size != len(labels):
            given, allowed = f"{labels.dtype} {labels.shape}", "one number a sample: 0 normal, 1 an anomaly, -1 unknown"
            raise DataError("not the labels of anomalies", where=at(split, 0), found=given, allowed=allowed)
        return _rows.bits(labels, split, at)

    def unlabelled(self, names: tuple[str, ...] | None, where: str, hint: str | None = None) -> Numbered:
        """See ``Task``: none does without labels, since the threshold and the metric are of those of validation."""
        allowed = "labels: 0 of a normal sample, 1 of an anomaly, -1 where nobody knows; in train all may be 0"
        raise DataError("which samples are normal is not told", where=where, allowed=allowed)

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: (N, 1) whole numbers of -1, 0 and 1."""
        _rows.check_shape(labels, count, size, where)
        if labels.dtype.kind not in "iu" or (labels.size and (labels.min() < -1 or labels.max() > ANOMALOUS)):
            low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
            allowed = "whole numbers: 0 of a normal sample, 1 of an anomaly, or -1"
            raise DataError("not the labels of anomalies", where=where, found=f"{low} to {high}", allowed=allowed)

    def check_learned(
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """See ``Task``: not every training sample is an anomaly, and validation can tell the threshold."""
        if (labels["train"] == ANOMALOUS).all():
            allowed = "normal samples, labelled 0 or -1"
            raise DataError("every training sample is an anomaly", where=where, found="labels of 1", allowed=allowed)
        if self.chooses and "validation" in labels:
            place = where.removesuffix(" (train)") + " (validation)"
            false_alarms.allowed(int((labels["validation"] == NORMAL).sum()), self.false_alarms, place)

    def answers(self, scores: AnyArray) -> AnyArray:
        """(N, 1) of 0 and 1."""
        return (scores >= self._cut).astype(np.int64)

    def picks(self, labels: AnyArray, size: int) -> Hits:
        """See ``Task``: anomalies."""
        return np.asarray(labels == ANOMALOUS)

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """See ``Task``."""
        if self.threshold is None:
            return None
        return np.asarray((self.answers(one) == self.answers(other)).all(axis=1))

    def lead(self, scores: AnyArray) -> AnyArray:
        """(N,) how far the score is from the threshold; from 0 while there is none."""
        return np.abs(scores - self._cut.astype(scores.dtype)).min(axis=1)

    def margin(self, scores: Scores) -> Scores:
        """See ``Task``."""
        return super().margin(scores) if self.threshold is None else share_of_range(self.lead(scores), scores)

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """See ``Task``."""
        if self.threshold is None:
            return super().differs(got, wanted, tolerance)
        far = self.lead(wanted.astype(np.float64)) > tolerance * float(wanted.max() - wanted.min())
        return np.asarray((self.answers(got) != self.answers(wanted)).any(axis=1) & far)

    def decode(self, shares: Floats, names: Sequence[str]) -> Answer:
        """See ``Task``."""
        score = float(shares[0])
        return Answer(score, None if self.threshold is None else score >= float(self._cut))

    def record(self, decided: Answer) -> Record:
        """See ``Task``."""
        return {"is_anomaly": decided.is_anomaly, "score": float(f"{decided.score:.6g}")}

    def decision(self, record: Record) -> object:
        """See ``Task``."""
        return record["is_anomaly"]

    def in_words(self, record: Record) -> str:
        """See ``Task``."""
        return {True: "an anomaly", False: "normal"}.get(record["is_anomaly"], "no threshold")

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``."""
        return [record["score"]]


def _number(name: str, normal: str) -> int:
    return _rows.UNKNOWN if not name else NORMAL if name == normal else ANOMALOUS
