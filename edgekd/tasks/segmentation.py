"""A class for every pixel of a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.marks import NOWHERE, Marks
from edgekd.tasks import _masks
from edgekd.tasks._base import IGNORED, Floats, Geometry, Off, Record
from edgekd.tasks._classes import At, Numbered
from edgekd.tasks._dense import DenseClasses
from edgekd.tasks._predictions import Mask

CLEAR = 0.9  # the probability of a pixel's best class from which on its class is held


@dataclass(frozen=True)
class Segmentation(DenseClasses):
    """(N, C, H, W) logits of C classes at every pixel; a label is a mask, (H, W) numbers of classes.

    A student answers at the size of the masks, which is the size of what the network is given.

    Attributes:
        ignore: the number of pixels without a label: they count in no loss and no metric. Where it is the number of a
            named class that class is none, and those behind it count one less.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "class", "y", "x")
    hub: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("text", "ink", "picture", "sound", "numbers"), "image-segmentation"
    )
    metrics: ClassVar[tuple[str, ...]] = ("miou", "accuracy", "macro_f1", "agreement")
    losses: ClassVar[tuple[str, ...]] = ("kl", "cross_entropy", "dice", "channel_wise", "focal", "squared_error")
    label_loss: ClassVar[str] = "cross_entropy"
    program: ClassVar[str] = "mask"
    holds: ClassVar[str] = "scores of {} classes at every pixel"
    prints: ClassVar[str] = "answer.areas"
    limits: ClassVar[tuple[str, ...]] = (
        "It knows its classes alone: every pixel is of one of them, whatever is there.",
        "It answers at the one size of picture that it was trained with.",
    )
    ignore: int = 255

    def __post_init__(self) -> None:
        if not -1 <= self.ignore <= 65_535:
            raise ValueError("ignore: allowed is -1 to 65535")

    @property
    def geometry(self) -> Geometry:
        """See ``Task``."""
        return "mask"

    @property
    def unlabelled_pixel(self) -> int:
        """See ``Task``."""
        return self.ignore

    def shape(self, names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
        """See ``Task``: (C, H, W) of masks (H, W)."""
        return _masks.shape(names, labels)

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: (N, H, W) whole numbers; without names the classes are 0 to the largest that there is."""
        _masks.check(labels, at)
        present = [number for number in _masks.numbers_of(labels) if number != self.ignore]
        notes: tuple[str, ...] = ()
        if names is None:
            notes = _masks.check_gaps(present, where)
            most = max((int(masks[masks != self.ignore].max(initial=0)) for masks in labels.values()), default=0)
            limits.check("classes", most + 1, "more classes than likely are meant", where)
            names = tuple(str(number) for number in range(most + 1))
        kept = [number for number in range(len(names)) if number != self.ignore]
        is_blank = any((masks == self.ignore).any() for masks in labels.values())
        if len(kept) < 2 or (len(present) < 2 and is_blank):
            blank, only = f"pixels of {self.ignore} have no label (task.ignore)", kept if len(kept) < 2 else present
            hint = f"{blank}: masks of 0 and 255 are to be 0 and 1 (data.values says so of files)"
            only_names = [names[i] for i in only if i < len(names)]
            raise DataError("one class only", where=where, found=only_names, allowed="at least 2", hint=hint)
        each = f"data.values = {present} says in files which number is which" if len(present) == len(kept) else None
        classes = {split: self._classes(masks, len(names), split, at, each) for split, masks in labels.items()}
        return Numbered(tuple(names[i] for i in kept), classes, notes)

    def _classes(self, masks: AnyArray, count: int, split: str, at: At, hint: str | None) -> NDArray[np.int64]:
        """Numbers of ``count`` named classes as numbers of those that are some.

        Raises:
            DataError: a pixel of none of them; ``hint`` is the way out.
        """
        classes = masks.astype(np.int64)
        ignored = classes == self.ignore
        wrong = ((classes < 0) | (classes >= count)) & ~ignored
        allowed = f"0 to {count - 1}, or task.ignore, {self.ignore}, of pixels without a label"
        _masks.check_numbers(classes, wrong, split, at, allowed, hint)
        if 0 <= self.ignore < count:
            classes -= classes > self.ignore
        classes[ignored] = IGNORED
        return classes

    def decode(self, shares: Floats, names: Sequence[str]) -> Mask:
        """See ``Task``."""
        kind = np.uint8 if len(names) <= 256 else np.uint16
        return Mask(shares.argmax(axis=0).astype(kind), shares.max(axis=0).astype(np.float32), tuple(names))

    def marks(self, decided: Mask) -> Marks | None:
        """See ``Task``."""
        areas = np.where(decided.scores > 0, decided.classes.astype(np.int64), NOWHERE)
        return Marks(areas=areas, names=decided.names)

    def agreement(self, one: AnyArray, other: AnyArray) -> Floats | None:
        """See ``Task``: of the pixels."""
        return np.asarray((self.answers(one) == self.answers(other)).mean(axis=1))

    def differing(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Floats:
        """See ``Task``: of the pixels."""
        allowed = tolerance * float(wanted.max() - wanted.min())
        ahead = wanted.max(axis=1) - np.take_along_axis(wanted, got.argmax(axis=1)[:, None], axis=1)[:, 0]
        return np.asarray((ahead > allowed).reshape(len(wanted), -1).mean(axis=1))

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """See ``DenseClasses``."""
        return _masks.in_parts(super().distance, one, other)

    def record(self, decided: Mask) -> Record:
        """See ``Task``: pixels row after row as runs of (class, count), class -1 where none is clear."""
        clear = np.where(decided.scores >= CLEAR, decided.classes.astype(np.int64), _masks.UNCLEAR)
        return {"labels": list(decided.areas), "runs": _masks.runs(clear)}

    def labels(self, record: Record) -> list[str] | None:
        """See ``Task``: those of some pixel, the most first."""
        return list(record["labels"])

    def in_words(self, record: Record) -> str:
        """See ``Task``."""
        return ", ".join(record["labels"])

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``: none of a mask is in the scores' unit."""
        return []

    def off(self, decided: Mask, record: Record, slack: float) -> Iterator[Off]:
        """See ``Task``: the share of the clear pixels whose class is another one, whatever the slack; and a mask of
        another size is as far off as can be.
        """
        yield from _masks.moved(decided.classes.astype(np.int64), record, "class")
