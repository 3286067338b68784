"""Arrays in one ``.npz`` file: images as they are, or encoded as JPEG or PNG one after another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekd.errors import DataError
from edgekd.learn.data import _archive
from edgekd.learn.data._archive import Arrays
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._encoded import decode
from edgekd.learn.data._split import carved, check_carving, check_labels, checked, image_ops, images


@dataclass(frozen=True)
class Npz:
    """Named arrays of a ``.npz`` file (read without pickle).

    Attributes:
        path: the file.
        x_train, x_test, x_validation: images, (N, H, W) or (N, H, W, C), uint8 or float; or the bytes of encoded
            images, where ``offsets`` is given.
        y_train, y_test, y_validation: labels 0..classes-1; an empty name where the data has none.
        offsets: suffix of the arrays that cut encoded bytes apart: ``x_train`` with the ending after its last
            underscore replaced, so ``train_bytes`` and ``offsets`` read ``train_offsets``.
        classes: the array of class names; an empty name numbers them.
        validation: how many training samples are carved off where there is no ``x_validation``: a count from 1,
            or a share below 1.
        groups: array that names a group for each training sample; a group is never split.
        limit: use only the first so many training samples; 0: all.
        split_seed: of the carving.
    """

    path: str
    x_train: str = "x_train"
    y_train: str = "y_train"
    x_test: str = "x_test"
    y_test: str = "y_test"
    x_validation: str = ""
    y_validation: str = ""
    offsets: str = ""
    classes: str = "class_names"
    validation: float = 0.1
    groups: str = ""
    limit: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        check_carving({"validation": self.validation}, self.limit)

    def fingerprint(self) -> str:
        """SHA-256 over the file and the fields."""
        return _archive.fingerprint(self.path, repr(self))

    def load(self) -> Dataset:
        """Read the arrays, carve off validation, check everything."""
        where = f"data.path: {Path(self.path).name}"
        arrays = _archive.read(self.path, self._names)
        names = self._class_names(arrays)
        train = self._split(arrays, self.x_train, self.y_train, self.limit or None)
        test = self._split(arrays, self.x_test, self.y_test, None)
        if self.x_validation:
            validation = self._split(arrays, self.x_validation, self.y_validation, None)
        else:
            train, validation = self._carved(arrays, train)
        ops = image_ops(255.0) if train.x.dtype == np.uint8 else image_ops(1.0)
        return checked(Dataset(train, validation, test, names, ops), where)

    def _names(self, known: list[str]) -> list[tuple[str, str]]:
        """(field, array) pairs to read; an absent array of class names is no mistake."""
        fields = ["x_train", "y_train", "x_test", "y_test", "x_validation", "y_validation", "groups"]
        pairs = [(field, getattr(self, field)) for field in fields if getattr(self, field)]
        if self.offsets:
            pairs += [("offsets", self._offsets_of(getattr(self, f))) for f in fields[::2][:3] if getattr(self, f)]
        if self.classes and (self.classes in known or self.classes != "class_names"):
            pairs.append(("classes", self.classes))
        return pairs

    def _offsets_of(self, name: str) -> str:
        return f"{name.rsplit('_', 1)[0]}_{self.offsets}"

    def _split(self, arrays: Arrays, x_name: str, y_name: str, limit: int | None) -> Split:
        where = f"data.{x_name}"
        if self.offsets:
            x = decode(arrays[x_name], arrays[self._offsets_of(x_name)], limit, where)
        else:
            x = images(arrays[x_name][:limit], where)
        if not y_name:
            return Split(x, None)
        y = arrays[y_name][:limit]
        check_labels(x, y, max(2, int(y.max(initial=0)) + 1) if y.dtype.kind in "iu" else 2, f"data.{y_name}")
        return Split(x, y.astype(np.int64))

    def _carved(self, arrays: Arrays, train: Split) -> tuple[Split, Split]:
        groups = arrays[self.groups][: self.limit or None] if self.groups else None
        return carved(train, self.validation, self.split_seed, "validation", groups)[:2]

    def _class_names(self, arrays: Arrays) -> tuple[str, ...]:
        if self.classes in arrays:
            return tuple(str(name) for name in arrays[self.classes])
        labels = [arrays[name] for name in (self.y_train, self.y_test) if name]
        most = max((int(y.max()) for y in labels if y.dtype.kind in "iu" and y.size), default=-1)
        if most < 0:
            raise DataError("without labels the class names are needed", where="data.classes", found=self.classes)
        return tuple(str(i) for i in range(most + 1))
