"""What a batch of a user's own holds: the model's inputs, in columns with names or in order, and the labels.

A batch is x, (x, y), (x1, x2, y), ((x1, x2), y), ({name: x}, y) or {name: x, "labels": y}; a named tuple or a dataclass
with a label among its fields counts as such a dict. What a data set gives sample by sample, with one label, is stacked.
Of several heads y is a dict of labels by name.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeGuard

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.preprocess import MASK
from edgekd.base.samples import array_of
from edgekd.tasks import Task

LABELS = ("labels", "label", "label_ids", "targets", "target", "y")  # what a column of labels is called
ONE_HOT = "labels are one-hot: the place of the 1 is the class"


class Item(NamedTuple):
    """One batch as it came. ``inputs``: by name, or by position where they are not ``named``."""

    inputs: dict[str, object]
    named: bool
    labels: object | None
    left_out: tuple[str, ...] = ()

    @property
    def is_sample(self) -> bool:
        """Whether it is one sample: it has one label."""
        scalar = isinstance(self.labels, str | bytes | int | float | np.generic)
        return scalar or (is_array(self.labels) and getattr(self.labels, "ndim", 1) == 0)


class Columns(NamedTuple):
    """A whole split.

    Attributes:
        arrays: (N, ...) of each input, by name, or by position where they are not ``named``.
        labels: (N,), as they came; None: there are none.
        notes: what the user is to know.
    """

    arrays: dict[str, AnyArray]
    named: bool
    labels: AnyArray | None
    notes: tuple[str, ...] = ()


def table_of(value: object) -> dict[str, object] | None:
    """The columns of what has names: a mapping, or a named tuple or dataclass with a label; None of anything else."""
    if has_columns(value):
        return {str(name): value[name] for name in value.keys()}  # noqa: SIM118 (what is no Mapping iterates otherwise)
    if isinstance(value, tuple) and any(name in LABELS for name in getattr(value, "_fields", ())):
        return dict(zip(value._fields, value, strict=True))  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    return None


def has_columns(value: object) -> TypeGuard[Mapping[str, object]]:
    """Whether something holds columns by name, as a dict does."""
    keyed = hasattr(value, "keys") and hasattr(value, "__getitem__") and not is_array(value)
    return isinstance(value, Mapping) or keyed


def item_of(value: object, where: str) -> Item:
    """Inputs and labels of one batch.

    Raises:
        DataError: two columns that may be the labels, or none that may be an input.
    """
    if (table := table_of(value)) is not None:
        return _of_table(table, where)
    parts = list(value) if isinstance(value, list | tuple) else [value]
    inputs, labels = (parts[:-1], parts[-1]) if len(parts) > 1 else (parts, None)
    if len(inputs) == 1 and (table := table_of(inputs[0])) is not None:
        item = _of_table(table, where)
        if item.labels is not None and labels is not None:
            raise DataError("labels twice: in a column, and beside it", where=where, found=", ".join(table))
        return item._replace(labels=labels if item.labels is None else item.labels)
    if len(inputs) == 1 and isinstance(inputs[0], list | tuple) and _are_columns(inputs[0], labels):
        inputs = list(inputs[0])
    return Item({str(i): part for i, part in enumerate(inputs)}, False, labels)


def collected(items: Sequence[Item], where: str, *, rows: bool = False) -> Columns:
    """Batches in one piece, in their order.

    Args:
        rows: a label is a row of numbers, see ``labels_of``.

    Raises:
        DataError: batches that are not alike, that hold no numbers, or not as many labels as samples.
    """
    first = items[0]
    odd = next((i for i, item in enumerate(items) if _form(item) != _form(first)), None)
    if odd is not None:
        raise DataError(
            "a batch with other parts than the first",
            where=f"{where}: batch {odd}",
            found=_told(items[odd]),
            allowed=_told(first),
        )
    several = len(first.inputs) > 1
    parts: dict[str, list[AnyArray]] = {name: [] for name in first.inputs}
    labels, notes = [], []
    for i, item in enumerate(items):
        place = f"{where}: batch {i}" if len(items) > 1 else where
        for name, value in item.inputs.items():
            at = f"{place}: {name}" if item.named or several else place
            value = _stacked(value) if item.is_sample else _listed(value, at) if item.named else value
            parts[name].append(_numbers(value, at))
        if item.labels is not None:
            y, note = labels_of(_alone(item.labels) if item.is_sample else item.labels, place, rows=rows)
            labels.append(y)
            notes += note
    if MASK in parts:
        notes += _pad(parts)
    if first.left_out:
        notes.append(f"columns without numbers are left out: {', '.join(first.left_out)}")
    arrays = {name: _joined(arrays, f"{where}: {name}" if several else where) for name, arrays in parts.items()}
    y_all = np.concatenate(labels) if labels else None
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise DataError("columns of different lengths", where=where, found=counts)
    return Columns(arrays, first.named, y_all, tuple(dict.fromkeys(notes)))


def labels_of(value: object, where: str, *, rows: bool = False) -> tuple[AnyArray, list[str]]:
    """(N,) whole numbers or names, as they come, of a list as of an array; and a note where they were one-hot.

    (N, 1) is taken as (N,).

    Args:
        rows: they are (N, ...) numbers, or of each sample a list: nothing is taken as one-hot.

    Raises:
        DataError: labels of another shape, of several types, or by name.
    """
    if isinstance(value, Mapping):
        names, allowed = [str(name) for name in value], "labels of one task; [heads] has a table for each of several"
        raise DataError("labels by name", where=where, found=names, allowed=allowed)
    if rows:
        return (_lists(value) if isinstance(value, list | tuple) else array(value, where)), []
    y = _row(value, where) if isinstance(value, list | tuple) else array(value, where)
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0], []
    if is_one_hot(y):
        return y.argmax(axis=1), [ONE_HOT]
    if y.ndim != 1:
        hint = None
        if y.ndim == 2 and y.dtype.kind == "f":
            hint = "shares of several classes are no labels: give the class, or let the teacher say them"
        allowed = "(N,), (N, 1), or one-hot (N, classes)"
        raise DataError(
            "labels are whole numbers or names, (N,)",
            where=where,
            found=f"{y.dtype} {y.shape}",
            allowed=allowed,
            hint=hint,
        )
    return y, []


def is_one_hot(y: AnyArray) -> bool:
    """Whether labels are rows (N, K) of one 1 and else 0."""
    return bool(y.ndim == 2 and y.dtype.kind in "iufb" and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def of_classes(labels: Mapping[str, AnyArray], task: Task) -> tuple[dict[str, AnyArray], tuple[str, ...]]:
    """(N,) labels of classes in arrays that are (N, 1), or one-hot in every split, and a note where they are; labels of
    other tasks as they come."""
    if not task.exclusive:
        return dict(labels), ()
    flat = {split: y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for split, y in labels.items()}
    if not flat or not all(map(is_one_hot, flat.values())) or len({y.shape[1] for y in flat.values()}) > 1:
        return flat, ()
    return {split: y.argmax(axis=1) for split, y in flat.items()}, (ONE_HOT,)


def _lists(labels: Sequence[object]) -> AnyArray:
    """A list of labels, each a number or a row of numbers, as (N, ...); of anything else as objects."""
    rows = [array_of(label) if is_array(label) else label for label in labels]
    with contextlib.suppress(ValueError):  # rows of several lengths, as lists of names are
        numbers = np.array(rows)
        if numbers.dtype.kind in "biuf":
            return numbers
    return np.fromiter(rows, object, len(rows))


def is_array(value: object) -> bool:
    """Whether something becomes an array by itself."""
    return hasattr(value, "__array__") or hasattr(value, "toarray")


def is_plain(value: object) -> bool:
    """Whether something is a list that no array begins, as one of labels, and not one of batches."""
    if not isinstance(value, list | tuple):
        return False
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return table_of(value) is None and (not is_array(value) or getattr(value, "ndim", 1) == 0)


def array(value: object, where: str) -> AnyArray:
    """Numbers as numpy holds them.

    Raises:
        DataError: it is none, or can't be made one.
    """
    if not is_array(value):
        allowed = "a numpy array or torch tensor"
        hint = "np.asarray(x) makes one of a list" if isinstance(value, list | tuple) else None
        raise DataError("not an array", where=where, found=type(value).__name__, allowed=allowed, hint=hint)
    try:
        return array_of(value)
    except (TypeError, ValueError, RuntimeError) as err:
        raise DataError(f"can't be made a numpy array ({err})", where=where, found=type(value).__name__) from err


def _are_columns(values: Sequence[object], labels: object) -> bool:
    """Whether a row of arrays is one of inputs, each of all samples, and not one of samples."""
    count = len(labels) if isinstance(labels, Sequence) else next(iter(getattr(labels, "shape", ())), None)
    lengths = [tuple(getattr(value, "shape", ()))[:1] for value in values if is_array(value)]
    return len(lengths) == len(values) > 0 and (count is None or {*lengths} == {(count,)})


def _of_table(table: dict[str, object], where: str) -> Item:
    """Labels by their name, and as inputs all else that holds numbers."""
    columns = {name: value for name, value in table.items() if value is not None}
    candidates = [name for name in columns if name.lower() in LABELS]
    if len(candidates) > 1:
        allowed = f"one of {', '.join(LABELS)}"
        raise DataError("several columns may be the labels", where=where, found=", ".join(candidates), allowed=allowed)
    labels = columns.pop(candidates[0]) if candidates else None
    inner = table_of(next(iter(columns.values()))) if len(columns) == 1 else None
    if inner is not None:
        columns = {name: value for name, value in inner.items() if value is not None}
    inputs = {name: value for name, value in columns.items() if _holds_numbers(value)}
    if not inputs:
        allowed = f"a column of numbers for each of the network's inputs, and labels as one of {', '.join(LABELS)}"
        raise DataError("no column that a network reads", where=where, found=", ".join(table), allowed=allowed)
    return Item(inputs, True, labels, tuple(name for name in columns if name not in inputs))


def _holds_numbers(value: object) -> bool:
    if is_array(value):
        return getattr(getattr(value, "dtype", None), "kind", "f") in "iufbc"
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float | np.number) or is_array(value)


def _stacked(value: object) -> AnyArray:
    """One sample as a batch of one."""
    return (array_of(value) if is_array(value) else np.asarray(value))[None]


def _listed(value: object, where: str) -> object:
    """A column that is a list of numbers, or of rows of them, as an array; of a data set that gives no tensors."""
    if is_array(value) or not isinstance(value, list | tuple):
        return value
    try:
        return np.asarray([array_of(row) for row in value])
    except ValueError as err:
        lengths = f"rows of {len(value[0])} and others"
        hint = "pad them, as a tokenizer does with padding=True; samples one by one are padded here"
        raise DataError("rows of different lengths", where=where, found=lengths, hint=hint) from err


def _alone(label: object) -> object:
    """The label of one sample as those of a batch of one."""
    return array_of(label).reshape(1) if is_array(label) else [label]


def _numbers(value: object, where: str) -> AnyArray:
    numbers = array(value, where)
    if numbers.ndim < 1 or numbers.dtype.kind not in "fiub":
        raise DataError(
            "not samples", where=where, found=f"{numbers.dtype} {numbers.shape}", allowed="numbers, (N, ...)"
        )
    return numbers


def _joined(parts: Sequence[AnyArray], where: str) -> AnyArray:
    """Batches in one piece."""
    odd = next((i for i, x in enumerate(parts) if x.shape[1:] != parts[0].shape[1:] or x.dtype != parts[0].dtype), None)
    if odd is not None:
        lengths = parts[odd].ndim > 1 and parts[odd].shape[2:] == parts[0].shape[2:]
        raise DataError(
            "a batch of another shape",
            where=f"{where}: batch {odd}",
            found=f"{parts[odd].dtype} {parts[odd].shape[1:]}",
            allowed=str(parts[0].shape),
            hint=f"sequences are padded where a column {MASK} says so" if lengths else None,
        )
    return np.concatenate(parts)


def _pad(parts: dict[str, list[AnyArray]]) -> list[str]:
    """Bring columns of sequences, whose batches end at their own longest, to one length; a note where any was not."""
    lengths = [mask.shape[1] for mask in parts[MASK] if mask.ndim == 2]
    longest = max(lengths, default=0)
    if len(lengths) < len(parts[MASK]) or min(lengths) == longest:
        return []
    masks = parts[MASK]
    for name, arrays in parts.items():
        if all(x.ndim > 1 and x.shape[1] == mask.shape[1] for x, mask in zip(arrays, masks, strict=True)):
            fill = 0 if name == MASK else _padding(arrays, masks)
            parts[name] = [_to_length(x, longest, fill) for x in arrays]
    return [f"sequences of {min(lengths)} to {longest} are padded to {longest}, which is what the student takes"]


def _padding(arrays: Sequence[AnyArray], masks: Sequence[AnyArray]) -> float:
    """What a column holds where the mask says padding; 0 where that is not one value."""
    values = {v for x, mask in zip(arrays, masks, strict=True) for v in np.unique(x[mask == 0]).tolist()}
    return values.pop() if len(values) == 1 else 0


def _to_length(x: AnyArray, length: int, fill: float) -> AnyArray:
    space = [(0, 0), (0, length - x.shape[1]), *[(0, 0)] * (x.ndim - 2)]
    return np.pad(x, space, constant_values=fill)


def _form(item: Item) -> tuple[object, ...]:
    return tuple(item.inputs), item.named, item.labels is None, item.is_sample


def _told(item: Item) -> str:
    columns = ", ".join(item.inputs) if item.named else f"{len(item.inputs)} inputs"
    return f"{columns}{' and labels' if item.labels is not None else ''}"


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
