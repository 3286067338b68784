"""Labels by head: one source read once for each head, its samples taken once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, EdgekdError
from edgekd.learn.data._base import Dataset, Source, Split
from edgekd.learn.data._batches import from_splits, gathered
from edgekd.learn.data._checks import checked, loaded
from edgekd.learn.data._inputs import Reader
from edgekd.learn.data._own_task import fitted, shape_of
from edgekd.learn.data._split import OfSplits
from edgekd.tasks import Heads, Labelled, Task

COMPARED = 64  # samples of a split that are held against each other; of pictures each one is decoded


@dataclass(frozen=True)
class LabelsByHead:
    """The source of each head: they read the same samples, and each the labels of its own.

    Attributes:
        sources: by the head's name.
    """

    sources: Mapping[str, Source]

    def fingerprint(self) -> str:
        """SHA-256 over those of all."""
        digest = hashlib.sha256()
        for name, source in self.sources.items():
            digest.update(f"{name} {source.fingerprint()} ".encode())
        return digest.hexdigest()

    def load(self, tasks: Mapping[str, Task]) -> Dataset:
        """The data with all labels side by side; ``tasks``: by the head's name.

        Raises:
            DataError: what a source raises, with the head's name; samples that are not the same for all of them.
        """
        read: dict[str, Dataset] = {}
        for name, source in self.sources.items():
            try:
                dataset = loaded(source, tasks[name])
            except EdgekdError as err:
                err.put_in(f"heads.{name}")
                raise
            read[name] = _sharing(dataset, next(iter(read.values())), f"heads.{name}") if read else dataset
        return joined(read, tasks)


def from_arrays(
    given: object,
    where: str,
    classes: Mapping[str, Sequence[str]],
    readers: Sequence[Reader],
    tasks: Mapping[str, Task],
) -> Dataset:
    """A user's own arrays or batches, whose labels are a dict by the head's name.

    Args:
        given, where, readers: see ``from_splits``.
        classes: names, by head; of those that are missing as the labels tell.
        tasks: by head.

    Raises:
        DataError: what ``from_splits`` raises, with the head's name; classes of no head.
    """
    if odd := [name for name in classes if name not in tasks]:
        raise DataError("classes of no head", where=f"{where}: classes", found=odd, allowed=list(tasks))
    parts, read = gathered(given, where), dict[str, Dataset]()
    for name, task in tasks.items():
        place = f"{where}: heads.{name}"
        read[name] = from_splits(parts.of_head(name, place), place, classes.get(name), readers, task)
    return joined(read, tasks)


def joined(read: Mapping[str, Dataset], tasks: Mapping[str, Task]) -> Dataset:
    """One data set of several that differ in their labels.

    Where a source carves a split off its training samples it may do so otherwise for labels of another kind: the
    splits are those of the head whose labels are of pairs (these stay whole), else of the first whose labels are of
    places (its tokens are cut by that split's vocabulary), else of the first that has labels; the other heads' labels
    go where their samples are.

    Raises:
        DataError: pairs of several heads, data with heads of its own, other samples.
    """
    first = _first(read, tasks)
    base = read[first]
    for name, dataset in read.items():
        _check(name, dataset, base, tasks[name], first)
    labels = {name: _labels(dataset, base, f"heads.{name}") for name, dataset in read.items()}
    shapes: dict[str, tuple[int, ...]] = {}
    knowing: dict[str, Task] = {}
    for name, dataset in read.items():
        y = labels[name].get("train")
        knowing[name] = fitted(tasks[name], y)
        shapes[name] = shape_of(tasks[name], len(dataset.classes), () if y is None else y.shape[1:])
    combined = replace(
        base,
        classes=tuple(label for dataset in read.values() for label in dataset.classes),
        heads={name: len(dataset.classes) for name, dataset in read.items()},
        answers=Heads(shapes, knowing, labelled=_labelled(labels)),
        notes=_notes(read, base),
    )
    train, validation, test = (
        replace(split, y=_beside(labels, role), together=None) for role, split in base.splits.items()
    )
    return checked(replace(combined, train=train, validation=validation, test=test), "heads")


def _notes(read: Mapping[str, Dataset], base: Dataset) -> tuple[str, ...]:
    """What the user is to know, each once: of the splits that are used, and of a head where the others don't say so."""
    of_all = set.intersection(*({*dataset.notes} for dataset in read.values()))
    notes: list[str] = [note for note in base.notes if isinstance(note, OfSplits)]
    for name, dataset in read.items():
        for note in dataset.notes:
            if not isinstance(note, OfSplits):
                notes.append(note if note in of_all else f"heads.{name}: {note}")
    return tuple(dict.fromkeys(notes))


def _first(read: Mapping[str, Dataset], tasks: Mapping[str, Task]) -> str:
    """The head whose splits are those of all."""
    labelled = [name for name, dataset in read.items() if dataset.train.y is not None] or list(read)
    pairs, dense = ([name for name in labelled if getattr(tasks[name], key)] for key in ("pairs", "dense"))
    return (pairs or dense or labelled)[0]


def _labelled(labels: Mapping[str, Mapping[str, AnyArray]]) -> dict[str, Labelled]:
    """By head, see ``Heads``; of data that has no labels at all nothing."""
    kinds: dict[str, Labelled] = {}
    for name, of_head in labels.items():
        kinds[name] = "none" if not of_head else "values" if of_head["train"].dtype.kind == "f" else "whole"
    return {} if {*kinds.values()} == {"none"} else kinds


def _check(name: str, dataset: Dataset, base: Dataset, task: Task, first: str) -> None:
    where = f"heads.{name}"
    if task.pairs and dataset.train.y is not None and name != first:
        allowed = f"one such head; {first} is another"
        raise DataError("its labels are of pairs of samples", where=where, allowed=allowed)
    if dataset.heads:
        raise DataError("the data has heads of its own", where=where, found=list(dataset.heads))
    if task.dense and dataset.preprocess != base.preprocess:
        raise DataError("other tokens, or pictures, than a head before it", where=where, allowed=f"those of {first}")


def _sharing(dataset: Dataset, first: Dataset, where: str) -> Dataset:
    """The data of a further head with the samples of the first one, where those are the same in the same order: of
    several heads what is decoded is in memory twice at most, and not once a head.

    Raises:
        DataError: other samples of the same names.
    """
    parts = {}
    for role, split in dataset.splits.items():
        other = first.splits[role]
        if _are_alike(other, split):
            _check_samples(other, split, np.arange(len(split)), f"{where} ({role})")
            split = replace(split, x=other.x)
        parts[role] = split
    return replace(dataset, train=parts["train"], validation=parts["validation"], test=parts["test"])


def _are_alike(split: Split, other: Split) -> bool:
    """Whether the samples of two splits are called alike, in the same order."""
    return len(split) == len(other) and split.names == other.names


class _Place(NamedTuple):
    split: str
    number: int


def _labels(dataset: Dataset, base: Dataset, where: str) -> dict[str, AnyArray]:
    """By split, the labels of a head in the order of the base's samples."""
    places: dict[str, _Place] = {}
    for role, split in dataset.splits.items():
        places |= {name: _Place(role, i) for i, name in enumerate(split.names or ())}
    labels: dict[str, AnyArray] = {}
    for role, split in base.splits.items():
        same = dataset.splits[role]
        if _are_alike(split, same):
            _check_samples(split, same, np.arange(len(split)), f"{where} ({role})")
            if same.y is not None:
                labels[role] = np.asarray(same.y)
            continue
        if split.names is None or not {*split.names} <= {*places} or len(places) != _count(dataset):
            allowed = "the same samples for all heads, each with a name of its own"
            raise DataError("other samples than those of another head", where=f"{where} ({role})", allowed=allowed)
        wanted = [places[name] for name in split.names]
        for role_there in {place.split for place in wanted}:
            here = np.array([i for i, place in enumerate(wanted) if place.split == role_there])
            there = np.array([wanted[i].number for i in here])
            _check_samples(split.some(here), dataset.splits[role_there], there, f"{where} ({role})")
        ys = {name: np.asarray(one.y) for name, one in dataset.splits.items() if one.y is not None}
        if ys:
            labels[role] = np.stack([ys[place.split][place.number] for place in wanted])
    return labels


def _count(dataset: Dataset) -> int:
    return sum(map(len, dataset.splits.values()))


def _check_samples(split: Split, other: Split, there: NDArray[np.int64], where: str) -> None:
    """Raise DataError where some of a split's samples are not those of another: what names them may lie."""
    some = np.unique(np.linspace(0, len(split) - 1, min(COMPARED, len(split))).astype(np.int64))
    mine, theirs = np.asarray(split.x[some]), np.asarray(other.x[there[some]])
    gaps = mine.dtype.kind == "f"  # NaN is a missing value of a table
    if mine.shape != theirs.shape or not np.array_equal(mine, theirs, equal_nan=gaps):
        raise DataError("other samples than those of another head", where=where, allowed="the same for all heads")


def _beside(labels: Mapping[str, Mapping[str, AnyArray]], role: str) -> AnyArray | None:
    """(N, W) the labels of all heads; (N,) or (N, K) of one head alone.

    Values are float32, which holds the number of a class exactly up to 16,777,216 of them.
    """
    parts = [of_head[role] for of_head in labels.values() if role in of_head]
    if not parts:
        return None
    if len(labels) == 1:
        return parts[0]
    rows = [part.reshape(len(part), -1) for part in parts]
    values = any(part.dtype.kind == "f" for part in parts)
    return np.concatenate(rows, axis=1, dtype=np.float32 if values else np.int64)
