"""What a data set must be to be learned from, and what its user is to know of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sized
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins, table_rows
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, FactoryError, RecipeError
from edgekd.learn.data import _known_labels, _points
from edgekd.learn.data._base import Dataset, Samples, Split
from edgekd.learn.data._lazy import Lazy, hashed
from edgekd.learn.data._left_masks import some_of_each
from edgekd.learn.data._own_task import try_out
from edgekd.learn.data._split import OfSplits
from edgekd.tasks import CLASSES, Task, named, triplets_of

OWN = "data.source"
SOME, NUMBERS = 1000, 2**23  # samples that a split's usual size of number is taken from, and their numbers
SEVERAL = 8  # samples whose extremes are worth comparing
# How many times larger one split's numbers may be than another's: the largest of pictures, the middle one of others.
# Mistakes (0..1 beside 0..255, -1..1 beside int16, 0..16 beside 0..255) are 16 times and more.
BRIGHTER, LARGER = 8.0, 50.0
WIDE = 8  # numbers of a sample: of fewer, such as a temperature, one split may well hold other ones than another
CHANCE = 1e-6


def loaded(source: Any, task: Task = CLASSES) -> Dataset:
    """A source's data, checked. The built-in sources check what they read; here the user's own ones are held to it.

    Args:
        task: what the labels are.

    Raises:
        DataError: see ``checked``.
        FactoryError: a user's own source raised, or gave no Dataset.
        RecipeError: a built-in source that has but classes.
    """
    by_task = "task" in inspect.signature(source.load).parameters
    is_users = not type(source).__module__.startswith("edgekd.")
    if not by_task and not is_users and not task.exclusive:
        given, allowed = (
            type(source).__name__,
            "npz, text, table, arrow, webdataset, imagefolder, audio, python, or your own",
        )
        raise RecipeError("the labels of this source are classes alone", where=OWN, found=given, allowed=allowed)
    dataset = plugins.call_user(source.load, OWN, *([task] if by_task else []))
    if not isinstance(dataset, Dataset):
        raise FactoryError("load gave no Dataset", where=OWN, found=type(dataset).__name__)
    if not is_users:
        return dataset
    classes = tuple(dataset.classes) if dataset.heads else named(dataset.classes, f"{OWN}: classes")
    return checked(replace(dataset, classes=classes), OWN, task)


def checked(dataset: Dataset, where: str, task: Task = CLASSES, *, every_class: bool = True) -> Dataset:
    """Raise DataError where a data set can't be learned from; else give it back, with notes on what looks wrong.

    Args:
        task: what the labels are.
        every_class: each must have a training sample.
    """
    classes = len(dataset.classes)
    least = 2 if task.exclusive and dataset.train.y is not None else 1  # without labels they may be values
    if classes < least:
        raise DataError("one class only", where=where, found=list(dataset.classes), allowed=f"at least {least}")
    for name, split in dataset.splits.items():
        _check_split(dataset, split, f"{where} ({name})")
    labelled = {name: split.y is not None for name, split in dataset.splits.items()}
    if len(set(labelled.values())) > 1:
        raise DataError("labels in every split or in none", where=where, found=labelled)
    outside: tuple[str, ...] = ()
    if all(labelled.values()):
        _check_labels(dataset, task, where, every_class=every_class)
        heads = dataset.heads_of(task)
        train, validation, test = (replace(one, together=heads.together(one.y)) for one in dataset.splits.values())
        dataset = replace(dataset, train=train, validation=validation, test=test)
        if task.geometry:
            _points.check_pictures(dataset, where)
        outside = tuple(_points.outside(dataset, where)) if task.geometry == "points" else ()
        if dataset.answers is None and not dataset.heads:  # else each head was told of where its labels were read
            outside = (*outside, *_known_labels.alike(dataset, task), *_known_labels.unknown(dataset, task))
    elif task.pairs and not dataset.heads and dataset.answers is None:  # what is judged is judged by pairs
        validation, test = (replace(one, together=_neighbours(len(one))) for one in (dataset.validation, dataset.test))
        dataset = replace(dataset, validation=validation, test=test)
    hashes = _hashes(dataset)
    _check_negatives(dataset, task, hashes, where)
    return replace(dataset, notes=tuple(dict.fromkeys((*dataset.notes, *outside, *_repeated(hashes)))))


def _neighbours(count: int) -> NDArray[np.int64] | None:
    """(count,) see ``Split.together``: without labels the first sample and the second are a pair, the third and the
    fourth. None of an odd number, of which the last one would part all pairs that are drawn behind it."""
    return None if count % 2 else np.arange(count) // 2


def _check_split(dataset: Dataset, split: Split, where: str) -> None:
    train = dataset.train.x
    if len(split) == 0:
        raise DataError("an empty split", where=where)
    if not split.x.size:
        raise DataError("samples without a number", where=where, found=split.x.shape, allowed="no length of 0")
    if split.x.shape[1:] != train.shape[1:]:
        shape, allowed = split.x.shape[1:], str(train.shape[1:])
        raise DataError("samples of another shape than in train", where=where, found=shape, allowed=allowed)
    is_table = table_rows.op_of(dataset.preprocess) is not None  # NaN is a missing value there
    if is_table and isinstance(split.x, Lazy):
        return  # what its decoder reads is a number, or missing
    x = table_rows.known(np.asarray(split.x)) if is_table else split.x
    if x.dtype.kind == "f" and (bad := _odd(x)) is not None:
        raise DataError("NaN or infinity in the data", where=where, found=f"sample {bad}")
    if split is not dataset.train and not is_table:  # columns have units of their own, and one name in every file
        check_alike(train, split.x, where)


def _odd(x: Samples) -> int | None:
    """The first sample that holds NaN or an infinity."""
    if isinstance(x, Lazy):
        return x.scan.odd
    array = np.asarray(x)
    if np.isfinite(array).all():
        return None
    return int(np.flatnonzero(~np.isfinite(array.reshape(len(x), -1)).all(1))[0])


def check_count(x: Sized, y: AnyArray, where: str, task: Task = CLASSES) -> None:
    """Raise DataError where there is not one label a sample; of a task whose labels are rows, not one row."""
    if len(y) == len(x) and y.ndim != 1 and not task.row_labels:
        what, allowed = (
            "rows of labels, and each sample has one",
            f"({len(x)},), or one-hot rows: a 1 in each, and else 0",
        )
        hint = "labels of the tasks multi_label and regression are rows"
        raise DataError(what, where=where, found=y.shape, allowed=allowed, hint=hint)
    if len(y) != len(x):
        raise DataError("as many labels as samples are needed", where=where, found=y.shape, allowed=f"({len(x)},)")


def _check_labels(dataset: Dataset, task: Task, where: str, *, every_class: bool) -> None:
    """Raise DataError where the labels of some output don't fit, or where nothing can be learned of one."""
    heads = dataset.heads_of(task)
    if (count := max(names.stop for names in heads.name_columns.values())) != len(dataset.classes):
        class_count, place = len(dataset.classes), f"{where}: classes"
        raise DataError("a name for each class of each head", where=place, found=class_count, allowed=str(count))
    for split_name, split in dataset.splits.items():
        wanted = (len(split), max(columns.stop for columns in heads.label_columns.values()))
        if len(heads) > 1 and split.y is not None and split.y.shape != wanted:
            what, place = "one label for each sample and head", f"{where} ({split_name})"
            raise DataError(what, where=place, found=split.y.shape, allowed=str(wanted))
    for name in heads:
        of_splits = {n: heads.labels_of(split.y, name) for n, split in dataset.splits.items()}
        given = {n: y for n, y in of_splits.items() if y is not None}
        labels = {n: some_of_each(y) for n, y in given.items()}
        counts = {n: len(dataset.splits[n]) - len(given[n]) + len(y) for n, y in labels.items()}
        place = f": head {name}" if dataset.heads else ""
        names = dataset.classes[heads.name_columns[name]]
        for split_name, y in labels.items():
            at = f"{where} ({split_name}){place}"
            plugins.call_user(heads.tasks[name].check, at, y, counts[split_name], len(names), at)
        try_out(heads.tasks[name], heads.shapes[name], names, labels.get("train"))
        if labels:
            heads.tasks[name].check_learned(labels, names, f"{where}{place} (train)", every=every_class)
        # Of train the task said what it can learn of.
        for split_name in (split for split in labels if split != "train"):
            _known_labels.check(labels[split_name], heads.tasks[name], f"{where} ({split_name}){place}")


class _Size(NamedTuple):
    """How large a split's numbers are: of so many ``samples``.

    Attributes:
        middle: the median of all but zeros, without signs.
        signed: the share of samples that hold a number below 0.
    """

    samples: int
    low: float
    high: float
    middle: float
    signed: float

    @classmethod
    def of(cls, x: Samples) -> _Size:
        some = _some(x)
        size = np.abs(some[some != 0].astype(np.float64))
        middle = float(np.median(size)) if len(size) else 0.0
        return cls(len(x), *_span(x), middle, float((some.reshape(len(some), -1) < 0).any(1).mean()))

    @property
    def top(self) -> float:
        return max(abs(self.low), abs(self.high))

    def lacks_signs_of(self, other: _Size) -> bool:
        """Whether nothing is below 0 here, where so much is there that it can be no chance."""
        return self.low >= 0 and (1 - other.signed) ** self.samples < CHANCE


def check_alike(train: Samples, other: Samples, where: str) -> None:
    """Raise DataError where a split's numbers are not like those of train: another type, range, or colours."""
    if (train.dtype.kind in "UO" and other.dtype.kind in "UO") or not train.size or not other.size:
        return
    if train.dtype != other.dtype:
        _refuse("another type", _told(other), _told(train), where)
    if train.dtype != np.int64:  # else users and items
        if _other_range(_Size.of(train), _Size.of(other), other):
            _refuse("another range", _told(other), _told(train), where)
        if train.ndim == 4 and train.shape[-1] == 3 and min(len(train), len(other)) >= SEVERAL:
            coloured = _coloured(train), _coloured(other)
            if set(coloured) == {0, 1}:
                mine, theirs = ("in colour" if share else "grey" for share in coloured)
                _refuse("other channels", theirs, mine, where, "data.grey = true reads all as grey")


def _refuse(what: str, actual: str, wanted: str, where: str, hint: str | None = None) -> None:
    message = f"numbers of {what} than in train"
    raise DataError(message, where=where, found=actual, allowed=f"{wanted}, as in train", hint=hint)


def _other_range(mine: _Size, theirs: _Size, other: Samples) -> bool:
    """Whether a split (``theirs``) holds numbers that are none of train's (``mine``)."""
    wide = other[0].size >= WIDE
    if theirs.top == 0 < mine.top:
        return theirs.samples > 1 and wide
    signs = wide and (mine.lacks_signs_of(theirs) or theirs.lacks_signs_of(mine))
    brighter = (
        other.ndim == 4 and min(mine.samples, theirs.samples) >= SEVERAL and _beyond(mine.top, theirs.top, BRIGHTER)
    )
    return signs or brighter or _beyond(mine.middle, theirs.middle, LARGER)


def _some(x: Samples) -> AnyArray:
    most = max(1, min(SOME, NUMBERS * len(x) // max(x.size, 1)))
    return np.asarray(x[:: max(1, len(x) // most)][:most])


def _span(x: Samples) -> tuple[float, float]:
    """Their least and their largest number."""
    if isinstance(x, Lazy):
        return x.scan.low, x.scan.high
    array = np.asarray(x)
    return float(array.min()), float(array.max())


def _coloured(x: Samples) -> float:
    """The share of pictures that are not grey all over."""
    some = _some(x)
    return float((some != some[..., :1]).any(axis=(1, 2, 3)).mean())


def _beyond(one: float, other: float, times: float) -> bool:
    return min(one, other) > 0 and max(one, other) > times * min(one, other)


def _told(x: Samples) -> str:
    low, high = _span(x) if x.dtype.kind in "iuf" and x.size else (None, None)
    return str(x.dtype) if low is None else f"{x.dtype} {low:g} to {high:g}"


def _hashes(dataset: Dataset) -> dict[str, AnyArray]:
    """By split a hash of each sample; {} of a user and what it liked: the same before each of its labels."""
    if dataset.train.x.dtype == np.int64:
        return {}
    return {
        name: split.x.scan.hashes if isinstance(split.x, Lazy) else hashed(np.asarray(split.x))
        for name, split in dataset.splits.items()
    }


def _check_negatives(dataset: Dataset, task: Task, hashes: Mapping[str, AnyArray], where: str) -> None:
    """Raise DataError where a negative of a triplet is its anchor or its positive, byte for byte."""
    for role, of_split in hashes.items() if task.pairs and dataset.answers is None else ():
        if (labels := dataset.splits[role].y) is None:
            continue
        anchor, positive, negative = triplets_of(labels)
        alike = (of_split[negative] == of_split[anchor]) | (of_split[negative] == of_split[positive])
        if alike.any():
            what, sample = "a negative that is its anchor, or its positive", int(negative[alike.argmax()])
            place, allowed = f"{where} ({role})", "another sample"
            raise DataError(what, where=place, found=f"sample {sample}", allowed=allowed)


def _repeated(hashes: Mapping[str, AnyArray]) -> Iterator[str]:
    """Of each later split, how many of its samples stand in an earlier one as well, byte for byte."""
    for name, before in (("validation", "train"), ("test", "train"), ("test", "validation")) if hashes else ():
        if same := int(np.isin(hashes[name], hashes[before]).sum()):
            of = f"{same:,} of {len(hashes[name]):,} {name} samples"
            note = f"{of} are the same as one of {before}, byte for byte: on new ones the figures will be lower"
            yield OfSplits(note)
