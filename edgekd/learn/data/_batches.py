"""What a user's own code hands over as data: arrays, or batches that can be read more than once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import check_count, checked
from edgekd.learn.data._columns import LABELS, Columns, Item, collected, has_columns, is_array, is_plain, item_of
from edgekd.learn.data._inputs import Reader, prepared
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._split import image_ops
from edgekd.tasks import CLASSES, Task, named

NAMES = ("train", "validation", "test")
WANTED = (
    "(train, validation, test), each (x, y) arrays, or a re-iterable of batches x, (x, y), (x1, x2, y) or "
    '{name: x, "labels": y}'
)


class Gathered(NamedTuple):
    """What a user's code gave, gone through once: a loader may draw other views of the samples the next time.

    Attributes:
        items: of each split, in their order.
        batched: the splits that came in batches or samples.
    """

    items: dict[str, list[Item]]
    batched: frozenset[str]

    def columns(self, where: str, *, rows: bool) -> dict[str, Columns]:
        """Each split in one piece; see ``_columns.collected``."""
        return {name: collected(items, f"{where} ({name})", rows=rows) for name, items in self.items.items()}

    def of_head(self, name: str, where: str) -> Gathered:
        """The same samples with the labels that are called so; with none where these are None in every split.

        Raises:
            DataError: labels without names, or none that is called so.
        """
        items = {
            split: [item._replace(labels=_called(item.labels, name, f"{where} ({split})")) for item in items]
            for split, items in self.items.items()
        }
        return self._replace(items=items)


def _called(labels: object, name: str, where: str) -> object | None:
    if not isinstance(labels, Mapping):
        kind = "none" if labels is None else type(labels).__name__
        allowed = f"a dict of labels by name, {{{name!r}: y, ...}}"
        raise DataError("labels without names", where=where, found=kind, allowed=allowed)
    if name not in labels:
        raise DataError("no labels of that name", where=where, found=name, allowed=[str(key) for key in labels])
    return labels[name]


def gathered(given: object, where: str) -> Gathered:
    """Three splits, each gone through once.

    Raises:
        DataError: not three splits, an iterable that runs only once, or what is no batch.
    """
    parts = _three(given, where)
    for name, part in parts.items():
        _check_labels(part, f"{where} ({name})")
    items = {name: _items(part, f"{where} ({name})") for name, part in parts.items()}
    return Gathered(items, frozenset(name for name, part in parts.items() if is_batches(part)))


def from_splits(
    given: object,
    where: str,
    classes: Sequence[str] | None = None,
    readers: Sequence[Reader] = (),
    task: Task = CLASSES,
) -> Dataset:
    """Collect three splits into memory and check them.

    Args:
        given: (train, validation, test), or a dict of these, or what ``gathered`` made of them. Each is a pair of
            arrays (x, y), a dict of arrays, or anything that can be iterated again and again (or indexed) and gives
            batches, or samples with a label, see ``_columns.py``. torch tensors count as arrays. uint8 (N, H, W, C)
            images are scaled to 0..1 and put channels first; everything else enters the network as it is, as float32,
            and whole numbers as int64 where the networks want them so, see ``_inputs.py``.
        classes: names; without them those of the labels, see ``_classes.py``.
        readers: the student and the teacher, as far as they are known: they say which columns they take.
        task: what the labels are; where they are rows, y is (N, K), or a list for each sample.

    Raises:
        DataError: not three splits, an iterable that runs only once, batches that don't fit together, bad labels,
            columns that don't go with a network.
    """
    parts = given if isinstance(given, Gathered) else gathered(given, where)
    columns = parts.columns(where, rows=task.row_labels)
    for name, split in columns.items():
        if split.labels is not None:
            check_count(next(iter(split.arrays.values())), split.labels, f"{where} ({name})", task)
    if len({split.named for split in columns.values()}) > 1:
        named_splits = ", ".join(name for name, split in columns.items() if split.named)
        raise DataError("columns with names in every split or in none", where=where, found=f"names in {named_splits}")
    inputs = prepared({n: split.arrays for n, split in columns.items()}, columns["train"].named, readers, where)
    splits = {name: Split(inputs.x[name], split.labels) for name, split in columns.items()}
    splits = {n: _ordered(split) if n in parts.batched else split.counted(n) for n, split in splits.items()}
    names = None if classes is None else named(classes, f"{where}: classes")
    labels = {name: split.y for name, split in splits.items() if split.y is not None}
    if 0 < len(labels) < len(splits):
        raise DataError("labels in every split or in none", where=where, found=f"in {' and '.join(labels)}")
    column = f"labels are looked for in a column called {', '.join(LABELS)}" if inputs.names else None
    numbering = (
        numbered(task, labels, names, lambda name, i: f"{where} ({name}): sample {i}", where)
        if labels
        else task.unlabelled(names, f"{where}: classes", column)
    )
    numbers = numbering.labels
    train, validation, test = (replace(split, y=numbers.get(name)) for name, split in splits.items())
    is_image = train.x.dtype == np.uint8 and train.x.ndim == 4 and train.x.shape[-1] in (1, 3, 4)
    ops = inputs.ops if inputs.ops is not None else image_ops(255.0) if is_image else ()
    of_columns = (note for split in columns.values() for note in split.notes)
    dataset = Dataset(
        train,
        validation,
        test,
        numbering.names,
        ops,
        notes=(*numbering.notes, *inputs.notes, *dict.fromkeys(of_columns)),
        inputs=inputs.names,
        teacher_preprocess=inputs.teacher_ops,
    )
    return checked(dataset, where, task)


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 over every sample, label and class name."""
    digest = hashlib.sha256(repr((dataset.classes, dataset.preprocess)).encode())
    if dataset.inputs or dataset.teacher_preprocess:
        digest.update(repr((dataset.inputs, dataset.teacher_preprocess)).encode())
    for split in dataset.splits.values():
        for array in (split.x, split.y):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def raw_fingerprint(given: object, where: str, classes: Sequence[str] | None) -> str:
    """SHA-256 over what ``from_splits`` is given, before anybody reads the labels as something."""
    digest = hashlib.sha256(repr(classes).encode())
    parts = given if isinstance(given, Gathered) else gathered(given, where)
    for name, columns in parts.columns(where, rows=True).items():
        for key, array in {**columns.arrays, "labels": columns.labels}.items():
            if array is not None:
                digest.update(f"{name} {key} {array.dtype}{array.shape}".encode())
                is_object = array.dtype == object
                digest.update(repr(array.tolist()).encode() if is_object else np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _three(given: object, where: str) -> dict[str, object]:
    """The three splits by name."""
    if isinstance(given, Mapping) and {*given} == {*NAMES}:
        return {name: given[name] for name in NAMES}
    if not isinstance(given, Sequence) or isinstance(given, str | bytes) or len(given) != len(NAMES):
        description = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise DataError("three splits are needed", where=where, found=description, allowed=WANTED)
    return dict(zip(NAMES, given, strict=True))


def _check_labels(given: object, where: str) -> None:
    """Raise DataError where labels of several heads, each of all samples, stand side by side and have no names."""
    if not isinstance(given, tuple | list) or len(given) != 2 or not is_array(given[0]):
        return
    x, labels = given
    count = tuple(getattr(x, "shape", ()))[:1]
    parts = labels if isinstance(labels, tuple | list) else ()
    if len(parts) > 1 and count and all(tuple(getattr(part, "shape", ()))[:1] == count for part in parts):
        columns, allowed = f"{len(parts)} arrays", "one array; or of several heads {name: y, ...}, a name for each"
        raise DataError("labels in several arrays without names", where=where, found=columns, allowed=allowed)


def _items(given: Any, where: str) -> list[Item]:
    """One split as it comes: each batch or sample, or all of it in one piece."""
    if not is_batches(given):
        return [item_of(given, where)]
    if not isinstance(given, Iterable) and hasattr(given, "__getitem__") and hasattr(given, "__len__"):
        return _each(plugins.call_user(lambda: [given[i] for i in range(len(given))], where), where)
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
    return _each(plugins.call_user(list, where, given), where)


def is_batches(given: object) -> bool:
    """Whether a split comes in batches or samples, and not as arrays in one piece."""
    if is_array(given) or has_columns(given):
        return False
    if not isinstance(given, tuple | list) or len(given) < 2:
        return True
    *inputs, labels = given
    if len(given) == 2:
        whole = is_array(inputs[0]) or isinstance(inputs[0], list | tuple | Mapping)
        by_head = isinstance(labels, Mapping) and not isinstance(inputs[0], Mapping)
        return not (whole and (is_array(labels) or is_plain(labels) or by_head))
    # Three arrays may be three batches of x; labels are no such batch, as they have one axis.
    return not (isinstance(given, tuple) and all(map(is_array, given)) and getattr(labels, "ndim", 0) == 1)


def _each(batches: list[object], where: str) -> list[Item]:
    """Batches, or samples one by one."""
    if not batches:
        raise DataError("an empty split", where=where)
    return [item_of(batch, f"{where}: batch {i}") for i, batch in enumerate(batches)]


def _ordered(split: Split) -> Split:
    """The same samples in an order that does not depend on a shuffle."""
    x, y = np.asarray(split.x), split.y
    digests = [hashlib.sha256(np.ascontiguousarray(sample).data).digest() for sample in x]
    rank = np.zeros(len(x), np.int64) if y is None or y.dtype == object else _ranks(y)
    order = np.array(sorted(range(len(x)), key=lambda i: (digests[i], int(rank[i]))), np.int64)
    return Split(x[order], None if y is None else y[order])


def _ranks(y: AnyArray) -> AnyArray:
    """(N,) the place of each sample's label, or row of labels, among the different ones in order."""
    return np.unique(y, axis=0, return_inverse=True)[1].reshape(-1)
