"""Several columns of numbers as raw samples, and the preprocessing that makes the model's inputs of them.

Which columns a network takes, and whether it takes whole numbers as such, is known to whoever has it: a ``Reader``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.preprocess import widths_of
from edgekd.learn.data._base import Dataset, Pipeline

TRIED = 16  # samples that a network is tried on
# Columns that tokenizers and data sets give beside those that a network reads.
BESIDE = (
    "token_type_ids",
    "special_tokens_mask",
    "offset_mapping",
    "length",
    "overflow_to_sample_mapping",
    "idx",
    "id",
)


class Reader(Protocol):
    """A network that is to read the data."""

    where: str

    def takes(self, names: Sequence[str], named: bool) -> tuple[str, ...]:
        """Which columns it takes, in the order in which it is given them.

        Raises:
            DataError: they don't go with its forward.
        """

    def arguments(self, count: int) -> tuple[str, ...]:
        """The names of its first arguments; fewer where it does not say."""

    def runs(self, inputs: Mapping[str, AnyArray], named: bool) -> bool:
        """Whether it answers to such inputs."""

    def sizes(self, inputs: Mapping[str, AnyArray], named: bool) -> dict[str, int]:
        """How many different whole numbers an input may be, for those that number the rows of an embedding."""


class Prepared(NamedTuple):
    """What columns become.

    Attributes:
        x: raw samples of each split.
        ops: the student's preprocessing, ``None`` where one column goes in as it is; ``teacher_ops``: the teacher's,
            where it takes more.
        names: the user's own of the inputs; () where they go in by order.
    """

    x: dict[str, AnyArray]
    ops: Pipeline | None
    teacher_ops: Pipeline | None
    names: tuple[str, ...]
    notes: tuple[str, ...]


def prepared(
    splits: Mapping[str, Mapping[str, AnyArray]], named: bool, readers: Sequence[Reader], where: str
) -> Prepared:
    """Raw samples and preprocessing of splits in columns.

    Args:
        splits: by name of the split, then of the column.
        named: whether the columns have names of the user's own.
        readers: the student and the teacher, as far as they are known.

    Raises:
        DataError: splits of other columns or shapes than train's, columns that go with no network.
    """
    train = splits["train"]
    _check_alike(splits, where)
    taken = [reader.takes(tuple(train), named) for reader in readers] or [tuple(train)]
    used = tuple(dict.fromkeys(name for names in taken for name in names))
    _check_left_out(train, used, where)
    unused = [c for c in train if c not in used]
    notes = (f"columns that no network takes are left out: {', '.join(unused)}",) if unused else ()
    some = {name: train[name][:TRIED] for name in used}
    whole = _whole(some, named, readers)
    names = used if named else ()
    if len(used) == 1 and not whole:
        x = {split: _plain(columns[used[0]], f"{where} ({split})") for split, columns in splits.items()}
        return Prepared(x, None, None, names, notes)
    sizes = _sizes({s: {c: columns[c] for c in used} for s, columns in splits.items()}, whole, named, readers, where)
    called = _called(used, named, readers)
    op = "columns" if _simple(train, used, whole) else "parts"
    ops = [_op(op, taken_names, train, called, sizes) for taken_names in (taken[0], used)]
    dtype = np.int64 if op == "columns" else np.float32
    x = {}
    for split, columns in splits.items():
        rows = [columns[c].reshape(len(columns[c]), -1).astype(dtype) for c in used]
        x[split] = np.concatenate(rows, axis=1)
    return Prepared(x, ops[0], ops[1] if len(used) > len(taken[0]) else None, names, notes)


def taken_first(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """A data set of several inputs for a student that takes some of them; a teacher is given all."""
    (op,) = dataset.preprocess
    keys = [key for key in op if key != "op"]
    order = [*names, *(name for name in op["names"] if name not in names)]
    if len(order) == len(names):
        return dataset
    places = [op["names"].index(name) for name in order]
    ends = np.cumsum(widths := widths_of(dataset.preprocess))
    index = np.concatenate([np.arange(ends[place] - widths[place], ends[place]) for place in places])
    every = {**op, **{key: [op[key][place] for place in places] for key in keys}}
    first = {**every, **{key: every[key][: len(names)] for key in keys}}
    train, validation, test = (replace(split, x=split.x[:, index]) for split in dataset.splits.values())
    return replace(
        dataset,
        train=train,
        validation=validation,
        test=test,
        preprocess=(first,),
        teacher_preprocess=(every,),
        inputs=tuple(order),
    )


def _op(
    op: str, columns: Sequence[str], train: Mapping[str, AnyArray], called: Mapping[str, str], sizes: Mapping[str, int]
) -> Pipeline:
    """The preprocessing that makes inputs of the first columns of a row."""
    shapes = [train[c].shape[1:] for c in columns]
    shared = {"op": op, "names": [called[c] for c in columns], "sizes": [sizes.get(c, 0) for c in columns]}
    if op == "columns":
        return ({**shared, "widths": [shape[0] if shape else 1 for shape in shapes]},)
    return ({**shared, "shapes": [list(shape) for shape in shapes]},)


def _simple(train: Mapping[str, AnyArray], used: Sequence[str], whole: frozenset[str]) -> bool:
    """Whether all columns are whole numbers, one or several a sample: what the op ``columns`` takes."""
    return whole == {*used} and all(train[c].ndim == 1 or (train[c].ndim == 2 and train[c].shape[1] > 1) for c in used)


def _whole(some: Mapping[str, AnyArray], named: bool, readers: Sequence[Reader]) -> frozenset[str]:
    """Which columns go in as whole numbers; the others as floats.

    One column goes in as floats, unless the networks take whole numbers alone. Several go in as they are, unless the
    networks take floats alone.
    """
    whole_numbers = frozenset(
        c for c, a in some.items() if a.dtype.kind in "iub" and (a.dtype != np.uint8 or a.ndim < 3)
    )
    if not whole_numbers:
        return whole_numbers
    floats: frozenset[str] = frozenset()
    options = [floats, whole_numbers] if len(some) == 1 else [whole_numbers, floats]
    if not readers:
        return whole_numbers if len(some) > 1 or (named and next(iter(some.values())).ndim < 3) else floats
    for option in options:
        cast = {c: a.astype(np.int64 if c in option else np.float32) for c, a in some.items()}
        if all(reader.runs(cast, named) for reader in readers):
            return option
    return options[0]


def _sizes(
    splits: Mapping[str, Mapping[str, AnyArray]],
    whole: frozenset[str],
    named: bool,
    readers: Sequence[Reader],
    where: str,
) -> dict[str, int]:
    """How many different whole numbers each column may hold: an embedding's rows, else what the data has.

    Raises:
        DataError: a number below 0.
    """
    train = splits["train"]
    cast = {c: a[:TRIED].astype(np.int64 if c in whole else np.float32) for c, a in train.items()}
    known = [reader.sizes(cast, named) for reader in readers] if whole else []
    sizes = {}
    for column in whole:
        low = min(int(columns[column].min(initial=0)) for columns in splits.values())
        if low < 0:
            raise DataError("a whole number below 0", where=f"{where}: {column}", found=low, allowed="0 up")
        most = max(int(columns[column].max(initial=0)) for columns in splits.values()) + 1
        sizes[column] = min((of[column] for of in known if column in of), default=max(2, most))
    return sizes


def _called(used: Sequence[str], named: bool, readers: Sequence[Reader]) -> dict[str, str]:
    """What each column is called as an input of the model: as the user calls it, else as the student's argument."""
    if named:
        return {c: c for c in used}
    arguments = readers[0].arguments(len(used)) if readers else ()
    names = arguments if len(arguments) == len(used) else [f"input_{i}" for i in range(len(used))]
    return dict(zip(used, names, strict=True))


def _plain(x: AnyArray, where: str) -> AnyArray:
    """One column of numbers that goes in as it is."""
    if x.ndim < 2 or x.dtype.kind not in "fiu":
        raise DataError("not samples", where=where, found=f"{x.dtype} {x.shape}", allowed="numbers, (N, ...)")
    return x if x.dtype == np.uint8 else x.astype(np.float32)


def _check_alike(splits: Mapping[str, Mapping[str, AnyArray]], where: str) -> None:
    """The splits have the same columns, of the same shapes."""
    train = {c: a.shape[1:] for c, a in splits["train"].items()}
    for name, columns in splits.items():
        shapes = {c: a.shape[1:] for c, a in columns.items()}
        if shapes.keys() != train.keys() or (len(shapes) > 1 and shapes != train):
            place = f"{where} ({name})"
            raise DataError("other columns than in train", where=place, found=shapes, allowed=str(train))


def _check_left_out(train: Mapping[str, AnyArray], used: Sequence[str], where: str) -> None:
    """What no network takes is a number a sample, or what tokenizers give beside: else a name is likely mistaken."""
    odd = [c for c in train if c not in used and train[c].ndim > 1 and c not in BESIDE]
    if odd:
        column, allowed = f"{odd[0]} {train[odd[0]].shape[1:]}", f"what forward takes, such as {', '.join(used)}"
        hint = "leave it out of the batches, or call it as the argument is called"
        raise DataError("a column that no network takes", where=where, found=column, allowed=allowed, hint=hint)
