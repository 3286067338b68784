"""Where in a picture something is far from what is normal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.base import false_alarms
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.marks import NOWHERE, Marks
from edgekd.tasks import _masks, _rows
from edgekd.tasks._alarms import ANOMALOUS, NORMAL, Alarms
from edgekd.tasks._base import Array, Floats, Geometry, Hits, Off, Record, Scores
from edgekd.tasks._classes import At, Numbered
from edgekd.tasks._predictions import AnomalyMap as Answer

CLEAR = 0.1  # of the range of a map's scores, from the threshold: twice what an int8 file may differ by elsewhere


@dataclass(frozen=True)
class AnomalyMap(Alarms):
    """(N, 1, H, W) scores, the larger the further from what is normal; a label is a mask, (H, W) numbers: 0 of a normal
    pixel, ``anomalous`` of an anomaly, ``ignore`` where nobody knows, which may be all of a picture.

    A pixel is an anomaly from the threshold on, and a picture where a pixel is. The threshold is chosen on what is
    normal in validation, of the files that ship; until then nothing is decided, and files are compared by their scores.

    Attributes:
        false_alarms: share of what is normal that may be told to be an anomaly, 0 < a < 1.
        threshold: a score; absent: chosen by ``false_alarms``.
        alarms: what is counted: ``pictures`` without an anomaly in which a pixel is told to be one, or normal
            ``pixels``, one by one.
        anomalous: the number of pixels that are anomalies, 1 to 65535; 255 of masks in black and white.
        ignore: the number of pixels of which nobody knows, another one; -1: masks hold no such pixels.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "value", "y", "x")
    hub: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("text", "ink", "picture", "sound", "numbers"), "image-segmentation"
    )
    metrics: ClassVar[tuple[str, ...]] = ("auc", "average_precision")
    losses: ClassVar[tuple[str, ...]] = ("squared_error", "deep_sad", "channel_wise", "binary_cross_entropy", "huber")
    label_loss: ClassVar[str] = "deep_sad"
    program: ClassVar[str] = "anomaly_map"
    holds: ClassVar[str] = "{} score of every pixel, the larger the further from normal"
    prints: ClassVar[str] = "answer.area"
    dense: ClassVar[bool] = True
    limits: ClassVar[tuple[str, ...]] = (
        "Normal is what its training samples are: whatever is new scores high, harmless or not.",
        "Its threshold keeps false alarms rare among samples like those of validation; how much of an anomaly it marks "
        "nobody promises.",
        "It answers at the one size of picture that it was trained with.",
    )

    alarms: Literal["pictures", "pixels"] = "pictures"
    anomalous: int = 1
    ignore: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.anomalous <= 65_535:
            raise ValueError("anomalous: allowed is 1 to 65535")
        if not -1 <= self.ignore <= 65_535 or self.ignore in (0, self.anomalous):
            raise ValueError(f"ignore: allowed is -1, or 1 to 65535 but for {self.anomalous}, the number of anomalies")

    @property
    def geometry(self) -> Geometry:
        """See ``Task``."""
        return "mask"

    @property
    def unlabelled_pixel(self) -> int:
        """See ``Task``."""
        return self.ignore

    def shape(self, names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
        """See ``Task``: (1, H, W) of masks (H, W)."""
        return _masks.shape(names, labels)

    def label_rows(self, labels: Array) -> Array:
        """See ``Task``: (N P, 1) of -1, 0 and 1."""
        return labels.reshape((-1, 1))

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: (N, H, W) of -1, 0 and 1."""
        _masks.check(labels, at)
        if names is not None and len(names) != 1:
            hint = 'names of the kinds of anomalies are left out by classes = ""'
            raise DataError(
                "one score a pixel", where=where, found=f"{len(names)} names", allowed="1, or none", hint=hint
            )
        return Numbered(names or ("score",), {split: self._bits(masks, split, at) for split, masks in labels.items()})

    def _bits(self, masks: AnyArray, split: str, at: At) -> NDArray[np.int64]:
        """Masks as -1, 0 and 1.

        Raises:
            DataError: a pixel of another number than the three.
        """
        numbers = masks.astype(np.int64)
        bits = np.select([numbers == NORMAL, numbers == self.anomalous], [NORMAL, ANOMALOUS], _rows.UNKNOWN)
        wrong = (bits == _rows.UNKNOWN) & (numbers != self.ignore)
        unknown = "-1 in arrays" if self.ignore == -1 else f"task.ignore, {self.ignore},"
        allowed = f"0 of a normal pixel, task.anomalous, {self.anomalous}, of an anomaly, {unknown} where nobody knows"
        _masks.check_numbers(numbers, wrong, split, at, allowed)
        return bits

    def unlabelled(self, names: tuple[str, ...] | None, where: str, hint: str | None = None) -> Numbered:
        """See ``Task``: none does without masks, since the threshold and the metric are of those of validation."""
        allowed = "masks (N, H, W): 0 of a normal pixel, 1 of an anomaly, -1 where nobody knows; in train all may be 0"
        raise DataError("which pixels are normal is not told", where=where, allowed=allowed)

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """See ``Task``: (N, P) or (N, H, W) whole numbers of -1, 0 and 1."""
        if labels.ndim < 2 or len(labels) != count:
            allowed = f"({count}, places)"
            raise DataError("labels of each pixel are needed", where=where, found=labels.shape, allowed=allowed)
        low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
        if labels.dtype.kind not in "iu" or low < _rows.UNKNOWN or high > ANOMALOUS:
            allowed = "whole numbers: 0 of a normal pixel, 1 of an anomaly, or -1"
            raise DataError("not the labels of anomalies", where=where, found=f"{low} to {high}", allowed=allowed)

    def check_learned(
        self, labels: Mapping[str, AnyArray], names: Sequence[str], where: str, *, every: bool = True
    ) -> None:
        """See ``Task``: not every training pixel is an anomaly, the other splits have labels, and validation can tell
        the threshold.
        """
        if (labels["train"] == ANOMALOUS).all():
            allowed = "normal pixels, labelled 0 or not at all"
            raise DataError("every training pixel is an anomaly", where=where, found="labels of 1", allowed=allowed)
        place = where.removesuffix(" (train)")
        for split in ("validation", "test"):
            if split in labels and (labels[split] == _rows.UNKNOWN).all():
                allowed = "some pixels of which it is known whether they are normal: the metric is theirs"
                raise DataError("no pixel with a label", where=f"{place} ({split})", allowed=allowed)
        if self.chooses and "validation" in labels:
            masks = labels["validation"]
            count = len(self.normal_scores(masks.astype(np.float32), masks))
            false_alarms.allowed(count, self.false_alarms, f"{place} (validation)")

    def normal_scores(self, scores: AnyArray, labels: AnyArray) -> AnyArray:
        """See ``Task``: those of normal pixels, or the largest such one of each picture that has no anomaly."""
        of_pixels, masks = scores.reshape(len(scores), -1), labels.reshape(len(labels), -1)
        normal = masks == NORMAL
        if self.alarms == "pixels":
            return of_pixels[normal]
        largest = np.where(normal, of_pixels, -np.inf).max(axis=1)
        return largest[normal.any(axis=1) & (masks != ANOMALOUS).all(axis=1)]

    def _hits(self, scores: AnyArray) -> Hits:
        """(N, P) which pixels are anomalies."""
        return np.asarray(scores.reshape(len(scores), -1) >= self._cut)

    def answers(self, scores: AnyArray) -> AnyArray:
        """(N, P) of 0 and 1."""
        return self._hits(scores).astype(np.int64)

    def picks(self, labels: AnyArray, size: int) -> Hits:
        """See ``Task``: of pictures with an anomaly."""
        return np.asarray((labels == ANOMALOUS).reshape(len(labels), -1).any(axis=1, keepdims=True))

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """See ``Task``: at every pixel."""
        return None if self.threshold is None else np.asarray((self._hits(one) == self._hits(other)).all(axis=1))

    def agreement(self, one: AnyArray, other: AnyArray) -> Floats | None:
        """See ``Task``: of the pixels."""
        return None if self.threshold is None else np.asarray((self._hits(one) == self._hits(other)).mean(axis=1))

    def lead(self, scores: AnyArray) -> AnyArray:
        """(N,) how far the pixel that is nearest to the threshold is from it; to 0 while there is none."""
        return np.abs(scores.reshape(len(scores), -1) - self._cut.astype(scores.dtype)).min(axis=1)

    def margin(self, scores: Scores) -> Scores:
        """See ``Task``: 1. Of thousands of pixels some are always in doubt; these are left out one by one."""
        return np.ones(len(scores), np.float32)

    def _turned(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """(N, P) the pixels that are decided otherwise, and were further from the threshold than ``tolerance``."""
        if self.threshold is None:
            return np.zeros((len(wanted), 1), bool)
        far = np.abs(wanted.reshape(len(wanted), -1) - self._cut) > tolerance * float(wanted.max() - wanted.min())
        return np.asarray((self._hits(got) != self._hits(wanted)) & far)

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """See ``Task``: at some pixel."""
        return np.asarray(self._turned(got, wanted, tolerance).any(axis=1))

    def differing(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Floats:
        """See ``Task``: of the pixels."""
        return np.asarray(self._turned(got, wanted, tolerance).mean(axis=1))

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """See ``Task``."""
        flat = one.reshape(len(one), -1), other.reshape(len(other), -1)
        return _masks.in_parts(super().distance, *flat)

    def decode(self, shares: Floats, names: Sequence[str]) -> Answer:
        """See ``Task``."""
        return Answer(shares[0].astype(np.float32), None if self.threshold is None else float(self._cut))

    def marks(self, decided: Answer) -> Marks | None:
        """See ``Task``: the pixels that are anomalies, where there is a threshold."""
        if decided.anomalous is None:
            return None
        return Marks(areas=np.where(decided.anomalous, 0, NOWHERE), names=("anomaly",))

    def shares_of_label(self, label: AnyArray, shape: tuple[int, ...]) -> Floats | None:
        """See ``Task``: far from the threshold on either side; NaN, which marks nothing, where nobody knows."""
        if self.threshold is None:
            return None
        far = np.array([-np.inf, np.inf, np.nan])  # of 0, of 1, and of -1, the last one
        return far[label].reshape(shape)

    def record(self, decided: Answer) -> Record:
        """See ``Task``: the least and the largest score, and pixels row after row as runs of (decision, count): 1 of an
        anomaly, 0 of a normal pixel, -1 where the score is too near to the threshold, or there is none.
        """
        ends = [float(f"{end:.6g}") for end in (decided.scores.min(), decided.scores.max())]
        if decided.threshold is None:
            decisions = np.full(decided.scores.shape, _masks.UNCLEAR)
        else:
            away = decided.scores.astype(np.float64) - decided.threshold
            near = np.abs(away) < CLEAR * float(np.ptp(decided.scores))
            decisions = np.where(near, _masks.UNCLEAR, (away >= 0).astype(np.int64))
        return {"ends": ends, "runs": _masks.runs(decisions)}

    def labels(self, record: Record) -> list[str] | None:
        """See ``Task``: its one score is told of every picture."""
        return ["score"]

    def in_words(self, record: Record) -> str:
        """See ``Task``."""
        return f"scores of {record['ends'][0]:g} to {record['ends'][1]:g}"

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``."""
        return list(record["ends"])

    def off(self, decided: Answer, record: Record, slack: float) -> Iterator[Off]:
        """See ``Task``: the ends of the scores, and the share of the clear pixels that are decided otherwise."""
        yield from super().off(decided, record, slack)
        if decided.anomalous is not None:
            yield from _masks.moved(decided.anomalous.astype(np.int64), record, "decision")
