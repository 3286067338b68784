"""What a user's own code hands over as data: arrays, or batches that can be read more than once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.samples import array_of
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import check_count, checked
from edgekd.learn.data._classes import named, numbered
from edgekd.learn.data._split import image_ops

NAMES = ("train", "validation", "test")
WANTED = "(train, validation, test), each (x, y) arrays, or a re-iterable of batches x or (x, y)"


def from_splits(given: object, where: str, classes: Sequence[str] | None = None) -> Dataset:
    """Collect three splits into memory and check them.

    Args:
        given: (train, validation, test). Each is a pair of arrays (x, y), or anything that can be iterated again and
            again and gives batches: x, or (x, y). torch tensors count as arrays. uint8 (N, H, W, C) images are scaled
            to 0..1 and put channels first; everything else enters the network as it is, as float32.
        classes: names; without them those of the labels, see ``_classes.py``.

    Raises:
        DataError: not three splits, an iterable that runs only once, batches that don't fit together, bad labels.
    """
    if not isinstance(given, Sequence) or len(given) != len(NAMES):
        raise DataError("three splits are needed", where=where, found=type(given).__name__, allowed=WANTED)
    splits = {name: _split(part, f"{where} ({name})") for name, part in zip(NAMES, given, strict=True)}
    for name, split in splits.items():
        if split.y is not None:
            check_count(split.x, split.y, f"{where} ({name})")
    names = None if classes is None else named(classes, f"{where}: classes")
    labels = {name: split.y for name, split in splits.items() if split.y is not None}
    if 0 < len(labels) < len(splits):
        raise DataError("labels in every split or in none", where=where, found=f"in {' and '.join(labels)}")
    if not labels and names is None:
        raise DataError("without labels the class names are needed", where=f"{where}: classes", found=None)
    numbering = numbered(labels, names, lambda name, i: f"{where} ({name}): sample {i}", where) if labels else None
    numbers = {} if numbering is None else numbering.labels
    train, validation, test = (Split(split.x, numbers.get(name)) for name, split in splits.items())
    is_image = train.x.dtype == np.uint8 and train.x.ndim == 4 and train.x.shape[-1] in (1, 3, 4)
    ops = image_ops(255.0) if is_image else ()
    known, notes = (names or (), ()) if numbering is None else (numbering.names, numbering.notes)
    return checked(Dataset(train, validation, test, known, ops, notes=notes), where)


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 over every sample, label and class name."""
    digest = hashlib.sha256(repr((dataset.classes, dataset.preprocess)).encode())
    for split in dataset.splits.values():
        for array in (split.x, split.y):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _split(given: Any, where: str) -> Split:
    pair = isinstance(given, tuple | list) and len(given) == 2 and (_is_array(given[1]) or _is_plain(given[1]))
    if pair and (_is_array(given[0]) or isinstance(given[0], list | tuple)):
        return Split(_samples(given[0], where), _labels(given[1], where))
    if _is_array(given):
        return Split(_samples(given, where), None)
    if not isinstance(given, Iterable):
        raise DataError("neither arrays nor batches", where=where, found=type(given).__name__, allowed=WANTED)
    first = plugins.call_user(iter, where, given)
    if first is given or plugins.call_user(iter, where, given) is first:
        raise DataError(
            "an iterable that runs only once",
            where=where,
            found=type(given).__name__,
            allowed="one that starts anew with each iter(): a list, a DataLoader, a class with __iter__",
        )
    return _collected(plugins.call_user(list, where, given), where)


def _collected(batches: list[object], where: str) -> Split:
    """Batches in one piece, in an order that does not depend on a shuffle."""
    if not batches:
        raise DataError("an empty split", where=where)
    pairs = [batch if isinstance(batch, tuple | list) else (batch,) for batch in batches]
    odd = next((i for i, pair in enumerate(pairs) if len(pair) not in (1, 2) or len(pair) != len(pairs[0])), None)
    if odd is not None:
        parts = f"{len(pairs[odd])} parts"
        raise DataError("a batch is x or (x, y), and all are alike", where=f"{where}: batch {odd}", found=parts)
    xs = [_samples(pair[0], f"{where}: batch {i}") for i, pair in enumerate(pairs)]
    odd = next((i for i, x in enumerate(xs) if x.shape[1:] != xs[0].shape[1:] or x.dtype != xs[0].dtype), None)
    if odd is not None:
        shape = f"{xs[odd].dtype} {xs[odd].shape[1:]}"
        raise DataError(
            "a batch of another shape", where=f"{where}: batch {odd}", found=shape, allowed=str(xs[0].shape)
        )
    x = np.concatenate(xs)
    labels = [_labels(pair[1], f"{where}: batch {i}") for i, pair in enumerate(pairs) if len(pair) == 2]
    y = np.concatenate(labels) if labels else None
    if y is not None and len(y) != len(x):
        raise DataError("as many labels as samples are needed", where=where, found=y.shape, allowed=f"({len(x)},)")
    digests = [hashlib.sha256(np.ascontiguousarray(sample).data).digest() for sample in x]
    rank = np.zeros(len(x), np.int64) if y is None else np.unique(y, return_inverse=True)[1]
    order = np.array(sorted(range(len(x)), key=lambda i: (digests[i], int(rank[i]))), np.int64)
    return Split(x[order], None if y is None else y[order])


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "toarray")


def _is_plain(value: object) -> bool:
    """Whether something is a list that no array begins, as one of labels, and not one of batches."""
    if not isinstance(value, list | tuple):
        return False
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return not _is_array(value) or getattr(value, "ndim", 1) == 0


def _array(value: object, where: str) -> AnyArray:
    if not _is_array(value):
        allowed = "a numpy array or torch tensor"
        hint = "np.asarray(x) makes one of a list" if isinstance(value, list | tuple) else None
        raise DataError("not an array", where=where, found=type(value).__name__, allowed=allowed, hint=hint)
    try:
        return array_of(value)
    except (TypeError, ValueError, RuntimeError) as err:
        raise DataError(f"can't be made a numpy array ({err})", where=where, found=type(value).__name__) from err


def _samples(value: object, where: str) -> AnyArray:
    x = _array(value, where)
    if x.ndim < 2 or x.dtype.kind not in "fiu":
        raise DataError("not samples", where=where, found=f"{x.dtype} {x.shape}", allowed="numbers, (N, ...)")
    return x if x.dtype == np.uint8 else x.astype(np.float32)


def _labels(value: object, where: str) -> AnyArray:
    """Whole numbers or names, as they come; of a list as of an array."""
    y = _row(value, where) if isinstance(value, list | tuple) else _array(value, where)
    if y.ndim != 1:
        raise DataError("labels are whole numbers or names, (N,)", where=where, found=f"{y.dtype} {y.shape}")
    return y


def _row(labels: Sequence[object], where: str) -> AnyArray:
    """A list of labels as an array; of several types numpy would make texts of numbers, and numbers of True."""
    kinds = {str if isinstance(label, str) else int if _is_whole(label) else type(label) for label in labels}
    if len(kinds) > 1:
        type_names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError("labels of several types", where=where, found=type_names, allowed="whole numbers, or names")
    scalars = all(isinstance(label, str | int | float | bytes | np.generic) for label in labels)
    return np.array(labels) if scalars else np.fromiter(labels, object, len(labels))


def _is_whole(label: object) -> bool:
    return isinstance(label, int | np.integer) and not isinstance(label, bool)
