"""Labels that come as lists: rows of numbers, or names of which a sample has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks import At, Task


def side_by_side(columns: Sequence[AnyArray], names: Sequence[str], at: At, role: str) -> AnyArray:
    """(N,) labels of one column, or (N, K) numbers of K.

    Raises:
        DataError: several columns, and one that is not of numbers.
    """
    if len(columns) == 1:
        return columns[0]
    if odd := [name for name, column in zip(names, columns, strict=True) if column.dtype.kind not in "iuf"]:
        what = "a column of labels that is not of numbers"
        raise DataError(what, where=at(role, 0), found=odd[0], allowed="numbers in each of several columns")
    return np.stack(columns, axis=1)


def taken(labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, task: Task, at: At) -> dict[str, AnyArray]:
    """What a task is given of labels by split: other labels than lists are as they were.

    Of a task whose samples have several labels, or tags, numbers in lists count the names; where there are none, or
    each list is as long as there are names, rows of 0 and 1 say which apply. Of other tasks lists are rows of numbers.

    Raises:
        DataError: a number of no name, or rows of several lengths; names the sample.
    """
    if not any(of.dtype.kind == "O" and len(of) and isinstance(of[0], list) for of in labels.values()):
        return dict(labels)
    tags = task.dense and not task.geometry
    if not tags and task.link != "sigmoid":
        return {role: _matrix(of, role, at) for role, of in labels.items()}
    if not tags and _are_bits(labels, names):
        return {role: np.array(of.tolist(), np.int64) for role, of in labels.items()}
    return {role: of if names is None else _named(of, names, role, at) for role, of in labels.items()}


def _matrix(lists: AnyArray, role: str, at: At) -> AnyArray:
    """(N, ...) numbers of lists that are all of one shape."""
    for i, row in enumerate(lists):
        if len(row) != len(lists[0]):
            what, allowed = "labels of several lengths", str(len(lists[0]))
            raise DataError(what, where=at(role, i), found=len(row), allowed=allowed)
    try:
        return np.array(lists.tolist())
    except ValueError as err:
        raise DataError("labels of several shapes", where=at(role, 0), allowed="one shape of all") from err


def _are_bits(labels: Mapping[str, AnyArray], names: tuple[str, ...] | None) -> bool:
    """Whether lists are rows of 0 and 1, one for each label."""
    lengths = {len(row) for of in labels.values() for row in of}
    if len(lengths) != 1 or lengths != {len(names) if names is not None else max(lengths)} or lengths <= {0, 1}:
        return False
    return all(type(bit) is not str and bit in (0, 1) for of in labels.values() for row in of for bit in row)


def _named(lists: AnyArray, names: tuple[str, ...], role: str, at: At) -> AnyArray:
    """Lists of names, of lists of names or of their numbers."""
    of_names = np.empty(len(lists), object)
    for i, row in enumerate(lists):
        whole = all(type(number) is int for number in row)
        if whole and (odd := [number for number in row if not 0 <= number < len(names)]):
            raise DataError(
                "a label that is no class", where=at(role, i), found=odd[0], allowed=f"0 to {len(names) - 1}"
            )
        of_names[i] = [names[number] for number in row] if whole else row
    return of_names
