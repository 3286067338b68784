"""Masks of a training split that are not held in memory: decoded once, into a file beside the cache.

A network's answers to validation and test, which are larger than their masks, are held in memory whole; so are these.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.learn.data import _own_task
from edgekd.learn.data._base import Split
from edgekd.learn.data._masks import Fitting, Pair, stacked
from edgekd.learn.data._unpacked import Unpacked
from edgekd.tasks import At, Numbered, Task

NUMBERS = 2**16  # that a pixel may be in a file of masks
PIXELS = 2**22  # that are looked at together
Index = NDArray[np.int64]


class LeftMasks:
    """Masks (N, H, W), as an array of int64 of which nothing is in memory.

    An index gives one mask; a slice or an array of numbers gives other such masks. ``np.asarray`` reads.

    Args:
        numbers: (M, H, W) of pixels as they stand in the masks, -1 as 65535: so many values that both are needed
            nobody has.
        rows: (N,) which of them these are.
        classes: (``NUMBERS``,) what each number is as a label.
        keeps: what is not to end before this does.
    """

    def __init__(self, numbers: NDArray[np.uint16], rows: Index, classes: NDArray[np.int64], keeps: object) -> None:
        self._numbers, self._rows, self._classes, self._keeps = numbers, rows, classes, keeps
        self.shape, self.dtype, self.ndim = (len(rows), *numbers.shape[1:]), np.dtype(np.int64), 3

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __getitem__(self, index: int | np.integer | slice | Index) -> AnyArray | LeftMasks:
        if isinstance(index, int | np.integer):
            return self._classes[self._numbers[self._rows[index]]]
        return LeftMasks(self._numbers, self._rows[index], self._classes, self._keeps)

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> AnyArray:
        return self._classes[self._numbers[self._rows]]

    def __iter__(self) -> Iterator[AnyArray]:
        return (self._classes[self._numbers[row]] for row in self._rows)

    def counted_as(self, classes: NDArray[np.int64]) -> LeftMasks:
        """The same masks with other labels; ``classes``: see above."""
        return LeftMasks(self._numbers, self._rows, classes, self._keeps)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(``NUMBERS``,) how many pixels are of each number; -1 is the last."""
        counts = np.zeros(NUMBERS, np.int64)
        for part in self._parts():
            counts += np.bincount(part.reshape(-1), minlength=NUMBERS)
        return counts

    def examples(self) -> Index:
        """Which of the masks, rising, hold each number that some mask holds: of each the first."""
        seen, first = np.zeros(NUMBERS, np.bool_), []
        for row, mask in enumerate(self._numbers[row] for row in self._rows):
            there = np.bincount(mask.reshape(-1), minlength=NUMBERS) > 0
            if (there & ~seen).any():
                first.append(row)
                seen |= there
        return np.array(first, np.int64)

    def classes_by(self, labels: AnyArray, examples: Index) -> NDArray[np.int64]:
        """(``NUMBERS``,) what each number is as a label, as the ``labels`` of ``examples`` say, (E, H, W)."""
        classes = np.zeros(NUMBERS, np.int64)
        classes[self._numbers[self._rows[examples]]] = labels
        return classes

    def _parts(self) -> Iterator[NDArray[np.uint16]]:
        return (self._numbers[rows] for rows in _in_parts(self._rows, self.shape))


def read(
    fitting: Fitting, pairs: Iterable[Pair], count: int, role: str, where: str, is_left: Callable[[int], bool]
) -> AnyArray:
    """(N, H, W) int32, the masks of a split, or those of train left in a file.

    Args:
        count: N, how many pairs there are, at least 1.
        where: the labels of the split, for errors.
        is_left: whether masks of so many bytes are left in a file.

    Raises:
        DataError: as ``Fitting.each`` does, or masks in memory take more than is meant.
    """
    masks = fitting.each(pairs)
    first = next(masks)
    masks = itertools.chain([first], masks)
    if role == "train" and is_left(8 * count * first.size):
        return cast("AnyArray", left(masks, f"{role}.masks"))
    return stacked(masks, count, where)


def numbered(masks: Mapping[str, AnyArray], names: tuple[str, ...] | None, task: Task, at: At, where: str) -> Numbered:
    """Class names and labels, see ``Task.numbered``. Of masks that are left in a file the task is shown those that hold
    all their numbers, which are numbered alike in the others.
    """
    train = masks["train"]
    if not isinstance(train, LeftMasks):
        return _own_task.numbered(task, masks, names, at, where)
    examples = train.examples()

    def at_example(role: str, i: int) -> str:
        return at(role, int(examples[i]) if role == "train" else i)

    of_examples = _own_task.numbered(task, {**masks, "train": np.asarray(train[examples])}, names, at_example, where)
    classes = train.classes_by(of_examples.labels["train"], examples)
    return of_examples._replace(labels={**of_examples.labels, "train": cast("AnyArray", train.counted_as(classes))})


def of_training_alone(splits: Mapping[str, Split], lazy: object) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits, of which none but train has masks left in a file; and a note where it has and nobody asked for that.

    Args:
        lazy: see ``Reading``.
    """
    kept = dict(splits)
    for role in ("validation", "test"):
        if isinstance(kept[role].y, LeftMasks):
            kept[role] = replace(kept[role], y=np.asarray(kept[role].y))
    if lazy != "auto" or not isinstance(kept["train"].y, LeftMasks):
        return kept, ()
    what = "the training masks would take more than a quarter of this machine's memory"
    return kept, (f"{what}: they are decoded into a file beside the cache (data.lazy)",)


def left(masks: Iterable[NDArray[np.int32]], name: str) -> LeftMasks:
    """Masks written one after another; ``name``: of their file."""
    unpacked, shape, count, place = Unpacked(), (0, 0), 0, None
    for mask in masks:
        place, _ = unpacked.add(memoryview(mask.astype(np.uint16).tobytes()), name)
        shape, count = (mask.shape[0], mask.shape[1]), count + 1
    if place is None:
        raise ValueError("no masks")
    with place.open("rb") as file:
        numbers = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint16)
    classes = np.arange(NUMBERS)
    classes[-1] = -1
    return LeftMasks(numbers.reshape(count, *shape), np.arange(count), classes, unpacked)


def labels_in_parts(labels: AnyArray) -> Iterator[AnyArray]:
    """Labels of a split in memory, some samples at a time where they are left in a file, else all."""
    if not isinstance(labels, LeftMasks):
        yield labels
        return
    for rows in _in_parts(np.arange(len(labels)), labels.shape):
        yield np.asarray(labels[rows])


def some_of_each(labels: AnyArray) -> AnyArray:
    """Labels of a split in memory: all, or where they are left in a file masks that hold each class that some hold."""
    return np.asarray(labels[labels.examples()]) if isinstance(labels, LeftMasks) else labels


def _in_parts(rows: Index, shape: tuple[int, ...]) -> Iterator[Index]:
    step = max(1, PIXELS // max(1, shape[1] * shape[2]))
    return (rows[start : start + step] for start in range(0, len(rows), step))
