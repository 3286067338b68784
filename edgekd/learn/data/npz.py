"""Arrays in one ``.npz`` file: images as they are, or encoded as JPEG or PNG one after another."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _archive, _masks
from edgekd.learn.data._archive import Arrays
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import check_count, checked
from edgekd.learn.data._columns import of_classes
from edgekd.learn.data._encoded import Seen, decode
from edgekd.learn.data._folders import split_words
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._split import (
    CALLED,
    ROLES,
    Groups,
    carve_missing,
    check_carving,
    image_ops,
    images,
    joined,
    listed,
    numbers,
    standard_ops,
)
from edgekd.tasks import CLASSES, Numbered, Task, named

X_TRAIN, Y_TRAIN, X_TEST = "x_train", "y_train", "x_test"
SAMPLES = ("x", "images", "data", "features", "inputs")  # what a file's only samples are called
LABELS = ("y", "labels", "targets", "label", "target")


@dataclass(frozen=True)
class Npz:
    """Named arrays of a ``.npz`` file (read without pickle).

    A file of one array of samples and one of labels, called as in ``SAMPLES`` and ``LABELS`` in whatever case, is read
    as the training split, off which the others are carved.

    Attributes:
        path: the file.
        x_train, x_test, x_validation: images, (N, H, W) or (N, H, W, C), uint8 or float; or the bytes of encoded
            images, where ``offsets`` is given; or numbers.
        y_train, y_test, y_validation: numbers or names of classes, see ``tasks/_classes.py``, or what else the
            recipe's task takes, such as masks (N, H, W) or points (N, K, 2); one-hot rows are classes, too. An empty
            name where there are none.
        offsets: suffix of the arrays that cut encoded bytes apart: ``x_train`` with the ending after its last
            underscore replaced, so ``train_bytes`` and ``offsets`` read ``train_offsets``. Labels that have such an
            array of their own are masks, encoded as PNG: ``train_mask_bytes`` with ``train_mask_offsets``.
        classes: the array of names of classes, labels or values; an empty name numbers them.
        validation, test: how many training samples are carved off where there is no ``x_validation``, or no ``x_test``:
            a count from 1, or a share below 1.
        groups: the array that names a group (a patient, a video) for each training sample, or several arrays; samples
            that have a group in common are never split.
        limit: use only the first so many training samples; 0: all.
        split_seed: of the carving.
        samples: ``images``, or ``numbers``: rows (N, K), series (N, T, K) or any (N, ..., K), each of the K less its
            mean, by its standard deviation over the training samples.
    """

    path: str
    x_train: str = X_TRAIN
    y_train: str = Y_TRAIN
    x_test: str = X_TEST
    y_test: str = "y_test"
    x_validation: str = ""
    y_validation: str = ""
    offsets: str = ""
    classes: str = "class_names"
    validation: float = 0.1
    test: float = 0.1
    groups: Groups = ""
    limit: int = 0
    split_seed: int = 0
    samples: Literal["images", "numbers"] = "images"

    def __post_init__(self) -> None:
        check_carving(self._shares, self.limit, self.split_seed)
        if not self.x_train:
            raise ValueError("x_train: allowed is the name of an array")
        if self.offsets and self.samples == "numbers":
            raise ValueError("offsets: allowed is none where samples are numbers")
        for name, usual in (("validation", ""), ("test", "y_test")):
            if getattr(self, f"y_{name}") not in ("", usual) and not getattr(self, f"x_{name}"):
                raise ValueError(f"y_{name}: allowed is none without x_{name}, whose labels they would be")

    def fingerprint(self) -> str:
        """SHA-256 over the file and the fields."""
        return _archive.fingerprint(self.path, repr(replace(self, path="")))

    def load(self, task: Task = CLASSES) -> Dataset:
        """Read the arrays, carve off validation and test where there are none, check everything."""
        arrays = _archive.read(self.path, lambda known: self._fitted(known)._names(known))
        return self._fitted(_archive.names(self.path))._dataset(arrays, task)

    def _fitted(self, known: list[str]) -> Npz:
        """The same, with the names that a file's only samples and labels have; and without a test split where the file
        has none, and no name of an array seems to be of one."""
        roles = {ROLES[word] for name in known for word in split_words(name)}
        if self.x_test != X_TEST or "test" in roles:
            return self
        without = replace(self, x_test="", y_test="")
        samples, labels = ([name for name in known if name.lower() in usual] for usual in (SAMPLES, LABELS))
        if self.x_train != X_TRAIN or self.x_train in known or len(samples) != 1 or len(labels) != 1:
            return without
        return replace(without, x_train=samples[0], y_train=labels[0] if self.y_train == Y_TRAIN else self.y_train)

    @property
    def _shares(self) -> dict[str, float]:
        return {"validation": self.validation, "test": self.test}

    def _dataset(self, arrays: Arrays, task: Task) -> Dataset:
        """See ``load``."""
        names, labels, notes = self._labels(arrays, task)
        splits, seen = {}, Seen()
        for name, (x_name, _) in self._parts.items():
            limit = (self.limit or None) if name == "train" else None
            y = labels.get(name)
            x = self._images(arrays, x_name, limit, seen)
            splits[name] = Split(x, None if y is None else y[:limit]).counted(name)
        by = listed(self.groups)
        groups = joined([arrays[name] for name in by], self._count(arrays, self.x_train), "data.groups")
        groups = None if groups is None else groups[: self.limit or None]
        splits, carved = carve_missing(splits, self._shares, self.split_seed, groups, " and ".join(by))
        divide = 255.0 if splits["train"].x.dtype == np.uint8 else 1.0
        ops = standard_ops(splits["train"].x) if self.samples == "numbers" else image_ops(divide)
        alike = [] if self.x_validation else [self.x_train.replace("train", other) for other in CALLED["validation"]]
        if others := [name for name in _archive.names(self.path) if name in alike and name not in arrays]:
            carved = (*carved, f"{others[0]} is in the file and not read: x_validation = {others[0]!r} would")
        parts = (splits["train"], splits["validation"], splits["test"])
        dataset = Dataset(*parts, names, ops, notes=(*notes, *carved, *seen.notes()))
        return checked(dataset, f"data.path: {Path(self.path).name}", task)

    @property
    def _parts(self) -> dict[str, tuple[str, str]]:
        """The names of the arrays of images and labels of each split that has some."""
        parts = {"train": (self.x_train, self.y_train), "test": (self.x_test, self.y_test)}
        parts["validation"] = (self.x_validation, self.y_validation)
        return {name: of for name, of in parts.items() if of[0]}

    def _names(self, known: list[str]) -> list[tuple[str, str]]:
        """(field, array) pairs to read; an absent array of class names is no mistake."""
        fields = [f"{letter}_{name}" for name in self._parts for letter in "xy"]
        pairs = [(field, getattr(self, field)) for field in fields if getattr(self, field)]
        pairs += [("groups", name) for name in listed(self.groups)]
        if self.offsets:
            pairs += [("offsets", self._offsets_of(getattr(self, f))) for f in fields[::2]]
            pairs += [("offsets", name) for x, y in self._parts.values() if (name := self._mask_offsets(x, y, known))]
        if self.classes and (self.classes in known or self.classes != "class_names"):
            pairs.append(("classes", self.classes))
        return pairs

    def _offsets_of(self, name: str) -> str:
        return f"{name.rsplit('_', 1)[0]}_{self.offsets}"

    def _mask_offsets(self, x_name: str, y_name: str, known: Container[str]) -> str:
        """The array that cuts a split's labels apart, which then are encoded masks; "": there is none."""
        name = self._offsets_of(y_name) if self.offsets and y_name else ""
        return name if name in known and name != self._offsets_of(x_name) else ""

    def _count(self, arrays: Arrays, name: str) -> int:
        """How many samples the file has, before ``limit``: what is told of each must be as long."""
        return max(0, len(arrays[self._offsets_of(name)]) - 1) if self.offsets else len(arrays[name])

    def _images(self, arrays: Arrays, name: str, limit: int | None, seen: Seen) -> AnyArray:
        if self.samples == "numbers":
            return numbers(arrays[name][:limit], f"data.{name}")
        if self.offsets:
            return decode(arrays[name], arrays[self._offsets_of(name)], limit, f"data.{name}", seen)
        if arrays[name].ndim == 2:
            shape, hint = arrays[name].shape, 'data.samples = "numbers" reads rows of numbers'
            allowed = "(N, H, W), (N, H, W, C)"
            raise DataError("not images", where=f"data.{name}", found=shape, allowed=allowed, hint=hint)
        return images(arrays[name][:limit], f"data.{name}")

    def _labels(self, arrays: Arrays, task: Task) -> Numbered:
        """Class names, the labels of each split that has some, and notes."""
        names = named(arrays[self.classes], f"data.{self.classes}") if self.classes in arrays else None
        keys = {split: (x_name, y_name) for split, (x_name, y_name) in self._parts.items() if y_name}
        labels = {}
        for split, (x_name, y_name) in keys.items():
            labels[split] = arrays[y_name]
            if offsets := self._mask_offsets(x_name, y_name, arrays):
                labels[split] = _masks.decode(arrays[y_name], arrays[offsets], f"data.{y_name}")
        labels, read_as = of_classes(labels, task)  # (N, 1) as Keras and MedMNIST do
        for split, (x_name, y_name) in keys.items():
            check_count(range(self._count(arrays, x_name)), labels[split], f"data.{y_name}", task)
        if keys and "train" not in keys:
            raise DataError("labels in every split or in none", where="data.y_train", found=self.y_train)
        if not keys:
            return task.unlabelled(names, "data.classes")
        known = numbered(
            task, labels, names, lambda split, i: f"data.{keys[split][1]}: sample {i}", f"data.{self.y_train}"
        )
        return known._replace(notes=(*read_as, *known.notes))
