"""Labels that are rows of numbers, one for each column of an output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks._classes import At, Numbered, alike_names, named, same_name

UNKNOWN = -1
SEPARATORS = (";", "|", ",")  # that seldom belong to a name
Lists = list[list[str]]  # of each sample the names or numbers of its labels


def is_matrix(labels: AnyArray) -> bool:
    """Whether labels are (N, ...) numbers."""
    return labels.ndim > 1 and labels.dtype.kind in "biuf"


def floats(labels: AnyArray, split: str, at: At) -> NDArray[np.float32]:
    """(N, K) of (N,) or (N, ...) numbers, or of texts of numbers; NaN where there is none.

    Raises:
        DataError: what is no number; names the sample.
    """
    return doubles(labels, split, at).astype(np.float32)


def doubles(labels: AnyArray, split: str, at: At) -> NDArray[np.float64]:
    """The same in float64, where whole numbers may be large. Raises as ``floats``."""
    if labels.dtype.kind in "USO":
        numbers = [_number(label, at(split, i)) for i, label in enumerate(labels.tolist())]
        for i, row in enumerate(numbers):
            if len(row) != len(numbers[0]):
                what, allowed = "another number of labels than the first sample has", str(len(numbers[0]))
                raise DataError(what, where=at(split, i), found=len(row), allowed=allowed)
        labels = np.array(numbers)
    if labels.dtype.kind not in "biuf" or labels.ndim < 1:
        raise DataError("labels are numbers", where=at(split, 0), found=str(labels.dtype), allowed="numbers")
    rows = labels.reshape(len(labels), -1)
    if rows.dtype.kind == "f" and np.isinf(rows).any():
        bad = int(np.flatnonzero(np.isinf(rows).any(axis=1))[0])
        raise DataError("an infinite label", where=at(split, bad), allowed="a number, or NaN where there is none")
    return rows.astype(np.float64)


def _number(label: object, where: str) -> list[float]:
    """A text, or a row of texts, as numbers; an empty one is none."""
    cells = label if isinstance(label, list | tuple | np.ndarray) else [label]
    numbers = []
    for cell in cells:
        text = cell.decode() if isinstance(cell, bytes) else str(cell)
        try:
            numbers.append(float(text) if text.strip() else float("nan"))
        except ValueError as err:
            raise DataError("a label that is no number", where=where, found=text, allowed="a number") from err
    return numbers


def bits(labels: AnyArray, split: str, at: At) -> NDArray[np.int64]:
    """(N, K) of -1, 0 and 1.

    Raises:
        DataError: another number; names the sample.
    """
    rows = labels.reshape(len(labels), -1)
    numbers = np.where(np.isnan(rows), UNKNOWN, rows) if rows.dtype.kind == "f" else rows.astype(np.int64)
    wrong = ~np.isin(numbers, (UNKNOWN, 0, 1))
    if wrong.any():
        bad = int(np.flatnonzero(wrong.any(axis=1))[0])
        value = numbers[bad][wrong[bad]][0].item()
        allowed = "1: it applies, 0: it does not, -1 or NaN: nobody knows"
        raise DataError("a label that neither applies nor does not", where=at(split, bad), found=value, allowed=allowed)
    return numbers.astype(np.int64)


def lists(labels: AnyArray, separator: str, split: str, at: At) -> Lists:
    """Of each sample the names of its labels, or their numbers as texts.

    Args:
        separator: between the names in a text; a text in a list is one name.

    Raises:
        DataError: what is neither; names the sample.
    """
    return [_names(label, separator, at(split, i)) for i, label in enumerate(labels.tolist())]


def _names(label: object, separator: str, where: str) -> list[str]:
    if isinstance(label, bytes):
        label = label.decode()
    if isinstance(label, str):
        parts = label.split(separator) if separator else [label]
        return [part.strip() for part in parts if part.strip()]
    if isinstance(label, list | tuple | np.ndarray):
        return [name for part in label for name in _names(part, "", where)]  # a name in a list stays whole
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return [str(label)]
    allowed = "names or numbers of labels, or rows of 0 and 1"
    raise DataError("not the labels of a sample", where=where, found=label, allowed=allowed)


def check_separator(lists_of: Mapping[str, Lists], separator: str, at: At) -> tuple[str, ...]:
    """A note where names that nobody gave hold another separator than the one that parts them.

    Raises:
        DataError: all parts of such a name are names as well; names the sample.
    """
    every = {name for rows in lists_of.values() for row in rows for name in row}
    for mark in SEPARATORS:
        parts_of = {name: _names(name, mark, "") for name in every if mark in name}
        if whole := {name for name, parts in parts_of.items() if parts and every.issuperset(parts)}:
            _refuse_separator(lists_of, whole, separator, mark, at)
        counts = Counter(part for parts in parts_of.values() for part in {*parts})
        shared = [name for name, parts in parts_of.items() if any(counts[p] > 1 or p in every for p in parts)]
        if shared:
            what = f"{len(parts_of):,} labels hold {mark!r}, such as {min(shared)!r}, and each is a label of its own"
            return (f"{what}: {_takes_apart(mark)}",)
    return ()


def _refuse_separator(lists_of: Mapping[str, Lists], whole: set[str], separator: str, mark: str, at: At) -> None:
    """Raise DataError on the first sample that has one of some names."""
    for split, rows in lists_of.items():
        for i, name in ((i, name) for i, row in enumerate(rows) for name in row if name in whole):
            what, allowed = "a label that holds other labels", f"names with {separator!r} between them"
            hint = f"{_takes_apart(mark)}; data.classes says that it is a name"
            raise DataError(what, where=at(split, i), found=name, allowed=allowed, hint=hint)


def _takes_apart(mark: str) -> str:
    return f'task = {{ kind = "multi_label", separator = "{mark}" }} takes them apart'


def of_lists(lists_of: Mapping[str, Lists], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
    """Rows of 0 and 1 of lists of names, or of numbers that count the names from 0.

    Raises:
        DataError: a name that is none of the given ones, or none at all.
    """
    every = dict.fromkeys(name for rows in lists_of.values() for row in rows for name in row)
    is_given = names is not None
    odd = "a label that nobody named" if is_given else "a label that no training sample has"
    if names is None:
        limits.check("classes", len(every), "more labels than likely are meant", where)
        names = named(sorted({name for row in lists_of["train"] for name in row}), where)
    if not names:
        raise DataError("no label in all of train", where=where, allowed="at least one")
    places = {same_name(name): i for i, name in enumerate(names)}
    if every and not any(same_name(name) in places for name in every) and all(name.isdigit() for name in every):
        places = {str(i): i for i in range(len(names))}
    rows = {split: np.zeros((len(of), len(names)), np.int64) for split, of in lists_of.items()}
    for split, of in lists_of.items():
        for i, row in enumerate(of):
            for name in row:
                if (column := places.get(same_name(name))) is None:
                    marks = [mark for mark in SEPARATORS if {*_names(name, mark, "")} <= places.keys()]
                    hint = _takes_apart(marks[0]) if marks else None
                    raise DataError(odd, where=at(split, i), found=name, allowed=names, hint=hint)
                rows[split][i, column] = 1
    return Numbered(names, rows, () if is_given else alike_names(names))


def named_columns(
    rows: Mapping[str, AnyArray], names: tuple[str, ...] | None, word: str, at: At, where: str
) -> Numbered:
    """Rows of numbers with a name for each column, ``<word> 0`` up where none are given.

    Raises:
        DataError: rows of several lengths, or another number of names.
    """
    width = rows["train"].shape[1]
    for split, of in rows.items():
        if of.shape[1] != width:
            what = "another number of labels a sample than in train"
            raise DataError(what, where=at(split, 0), found=of.shape[1], allowed=str(width))
    if names is None:
        limits.check("classes", width, f"more {word}s than likely are meant", where)
        names = (word,) if width == 1 else tuple(f"{word} {i}" for i in range(width))
    if len(names) != width or not width:
        what = f"a name for each {word}"
        raise DataError(what, where=where, found=f"{len(names)} names", allowed=f"{width}, as the labels have columns")
    return Numbered(names, dict(rows))


def check_shape(labels: AnyArray, count: int, size: int, where: str) -> None:
    """Raise DataError unless labels are (count, size)."""
    if labels.shape != (count, size):
        what = "a row of labels for each sample is needed"
        raise DataError(what, where=where, found=labels.shape, allowed=f"({count}, {size})")
