"""What a data source gives: raw samples as numpy arrays, split in three. Sources never import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.arrays import Samples as Samples
from edgekd.learn.data._own_task import shape_of
from edgekd.tasks import SINGLE, Heads, Task

Pipeline = tuple[dict[str, Any], ...]  # preprocessing, see base/preprocess.py


@dataclass(frozen=True)
class Split:
    """Raw samples and, where the data is labelled, their class indices.

    Attributes:
        x: (N, H, W, C) images as they come (uint8 0..255, or float32), (N, T) int16 sounds, (N,) texts (str), or
            (N, ...) float32 vectors. In memory or decoded when they are asked for, see ``Samples``.
        y: (N,) int64 in 0..classes-1, (N, K) where a label is a row, see ``tasks``; of a dense task in the natural
            shape of its places, (N, H, W); those of several heads side by side, (N, W); or None. Masks of training may
            be left in a file, see ``_left_masks.py``.
        ids: (N,) what each sample is called where it comes from (texts, or bytes of UTF-8), or its number there; None:
            nobody can tell.
        part: what numbers count in: the split that was read, "" where all was read from one.
        together: (N,) see ``Task.together``; None: every sample stands by itself.
        group: (N,) a number from 0 that samples share which are alike (of a patient, of a video), see ``carve``; None:
            nobody says of any.
        columns: of samples that are called by their numbers, all columns of their file: one may call them, too.
    """

    x: Samples
    y: AnyArray | None
    ids: AnyArray | None = None
    part: str = ""
    together: NDArray[np.int64] | None = None
    group: NDArray[np.int64] | None = None
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    def some(self, index: NDArray[np.int64]) -> Split:
        """The samples of some places."""
        columns = (self.y, self.ids, self.together, self.group)
        y, ids, together, group = (None if values is None else values[index] for values in columns)
        return Split(self.x[index], y, ids, self.part, together, group, self.columns)

    def counted(self, part: str = "", columns: Sequence[str] = ()) -> Split:
        """The same samples, called by their numbers; ``columns``: those of their file."""
        return replace(self, ids=np.arange(len(self.x)), part=part, columns=tuple(columns))

    @property
    def names(self) -> list[str] | None:
        """What each sample is called: ``"3"``, ``"test/3"``, or as its source says."""
        if self.ids is None:
            return None
        before = f"{self.part}/" if self.part and self.ids.dtype.kind in "iu" else ""
        texts = (one.decode(errors="surrogateescape") if isinstance(one, bytes) else one for one in self.ids.tolist())
        return [f"{before}{one}" for one in texts]


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test; class names; the preprocessing that suits the data unless the recipe has its own.

    Attributes:
        classes: names of classes, labels or values; those of several heads one after another.
        heads: how many of them each head has, in order; empty: one head of all of them.
        rate: of sounds, in Hz; 0: samples are none.
        notes: what the user is to know of how it was read, a sentence each without a final full stop: what was carved
            off or left out, what looks wrong. Console, report and model card show them.
        inputs: what a user's own batches call the inputs, in the model's order; a network is given each as its
            argument of that name. Empty: by order.
        teacher_preprocess: of a teacher that takes more of the columns than the student; None: as the student's.
        answers: its heads where each has a task of its own, whatever the task that is asked for.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    preprocess: Pipeline
    heads: Mapping[str, int] = field(default_factory=dict)
    rate: int = 0
    notes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    teacher_preprocess: Pipeline | None = None
    answers: Heads | None = None

    def heads_of(self, task: Task) -> Heads:
        """Its heads: all of one task, or each of its own."""
        if self.answers is not None:
            return self.answers
        counts = dict(self.heads) or {SINGLE: len(self.classes)}
        labels = () if self.train.y is None or self.heads else self.train.y.shape[1:]
        return Heads(
            {name: shape_of(task, count, labels) for name, count in counts.items()}, dict.fromkeys(counts, task)
        )

    @property
    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


class Source(Protocol):
    """One file of ``learn/data/``: a frozen dataclass whose fields are the keys of the recipe's ``[data]``."""

    def fingerprint(self) -> str:
        """SHA-256 (hex) over everything that ``load`` reads. Fast; imports neither torch nor scikit-learn."""

    def load(self) -> Dataset:
        """Read, check and split. Raises DataError naming the file and the array, sample or key.

        A source whose labels may be of any task takes it as a ``task``, by default classes; who takes none has classes.
        """
