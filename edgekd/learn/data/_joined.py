"""Labels by head: one source read once for each head, its samples taken once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, EdgekdError
from edgekd.learn.data._base import Dataset, Source, Split
from edgekd.learn.data._checks import checked, loaded
from edgekd.tasks import Heads, Task

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
                read[name] = loaded(source, tasks[name])
            except EdgekdError as err:
                err.put_in(f"heads.{name}")
                raise
        return joined(read, tasks)


def joined(read: Mapping[str, Dataset], tasks: Mapping[str, Task]) -> Dataset:
    """One data set of several that differ in their labels.

    Where a source carves a split off its training samples it may do so otherwise for labels of another kind: the
    splits are those of the first head whose labels are of places (its tokens are cut by that split's vocabulary), else
    of the first; the other heads' labels go where their samples are.

    Raises:
        DataError: pairs, data with heads of its own, labels of some heads alone or of values beside classes, other
            samples.
    """
    first = next((name for name in read if tasks[name].dense), next(iter(read)))
    base = read[first]
    for name, dataset in read.items():
        _check(name, dataset, base, tasks[name], first)
    labels = {name: _labels(dataset, base, f"heads.{name}") for name, dataset in read.items()}
    types = {name: y["train"].dtype.kind for name, y in labels.items() if "train" in y}
    if "f" in types.values() and {*types.values()} != {"f"}:  # side by side they are of one type
        whole = [name for name, kind in types.items() if kind != "f"]
        allowed = "heads that are all of values, or all of classes, labels and tags"
        raise DataError("labels of classes beside labels of values", where="heads", found=whole, allowed=allowed)
    shapes: dict[str, tuple[int, ...]] = {}
    fitted: dict[str, Task] = {}
    for name, dataset in read.items():
        y = labels[name].get("train")
        fitted[name] = tasks[name].fitted(y)
        shapes[name] = tasks[name].shape(len(dataset.classes), () if y is None else y.shape[1:])
    combined = replace(
        base,
        classes=tuple(label for dataset in read.values() for label in dataset.classes),
        heads={name: len(dataset.classes) for name, dataset in read.items()},
        answers=Heads(shapes, fitted),
        notes=tuple(dict.fromkeys(note for dataset in read.values() for note in dataset.notes)),
    )
    train, validation, test = (
        replace(split, y=_beside(labels, role), together=None) for role, split in base.splits.items()
    )
    return checked(replace(combined, train=train, validation=validation, test=test), "heads")


def _check(name: str, dataset: Dataset, base: Dataset, task: Task, first: str) -> None:
    where = f"heads.{name}"
    if task.pairs:
        raise DataError("its labels are of pairs of samples", where=where, allowed="a task whose labels are of one")
    if dataset.heads:
        raise DataError("the data has heads of its own", where=where, found=list(dataset.heads))
    if (dataset.train.y is None) != (base.train.y is None):
        raise DataError("labels of some heads alone", where=where, allowed="labels of every head, or of none")
    if task.dense and dataset.preprocess != base.preprocess:
        raise DataError("other tokens, or pictures, than a head before it", where=where, allowed=f"those of {first}")


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
        if len(split) == len(same) and split.names == same.names:
            _check_samples(split, same, np.arange(len(split)), f"{where} ({role})")
            if same.y is not None:
                labels[role] = same.y
            continue
        if split.names is None or not {*split.names} <= {*places} or len(places) != _count(dataset):
            allowed = "the same samples for all heads, each with a name of its own"
            raise DataError("other samples than those of another head", where=f"{where} ({role})", allowed=allowed)
        wanted = [places[name] for name in split.names]
        for role_there in {place.split for place in wanted}:
            here = np.array([i for i, place in enumerate(wanted) if place.split == role_there])
            there = np.array([wanted[i].number for i in here])
            _check_samples(split.some(here), dataset.splits[role_there], there, f"{where} ({role})")
        ys = {name: one.y for name, one in dataset.splits.items() if one.y is not None}
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
    """(N, W) the labels of all heads; (N,) or (N, K) of one head alone."""
    parts = [of_head[role] for of_head in labels.values() if role in of_head]
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    rows = [part.reshape(len(part), -1) for part in parts]
    return np.concatenate(rows, axis=1)
