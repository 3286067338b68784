"""Labels in the columns of a table, a row a sample; and the split of each row, where a column says it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekd.base import table_rows
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._split import CALLED, ROLES, listed
from edgekd.learn.data._table_files import Cells
from edgekd.tasks import LISTED, Numbered, Task, named

Names = str | tuple[str, ...]
TRUTH = {"true": 1.0, "false": 0.0}
WORD = "a word in a column of numbers"
_THOUSANDS = re.compile(r"(?<=\d)[ '\u2019_\u00a0\u202f](?=\d{3}(?!\d))")  # marks before three digits


def check_named(header: Sequence[str], by_key: Mapping[str, Sequence[str]], where: str) -> None:
    """Raise DataError where a source's key names a column that the table has not."""
    for key, names in by_key.items():
        for name in names:
            if name not in header:
                place = f"{where}, data.{key}"
                raise DataError("no such column", where=place, found=name, allowed=list(header)[:LISTED])


def by_split(cells: Cells, column: str) -> dict[str, Cells]:
    """The rows of each split, as a column says: train, validation (or val, dev) or test, in whatever case.

    Returns:
        By role; ``train`` is one of them.

    Raises:
        DataError: another word; names the row.
    """
    places = places_by_split(cells.columns[column], lambda i: f"{cells.at(i)}: {column}")
    return {role: cells.some(np.array(of, np.int64)) for role, of in places.items()}


def places_by_split(texts: Sequence[str], at: Callable[[int], str]) -> dict[str, list[int]]:
    """The numbers of the rows of each split; ``texts``: what says each row's; ``at``: names a row. See ``by_split``."""
    places: dict[str, list[int]] = {"train": []}
    for i, text in enumerate(texts):
        if (role := ROLES.get(text.lower())) is None:
            allowed = [name for names in CALLED.values() for name in names]
            raise DataError("no split", where=at(i), found=text, allowed=allowed)
        places.setdefault(role, []).append(i)
    return places


def labels_of(cells: Mapping[str, Cells], label: Names, classes: tuple[str, ...], task: Task, where: str) -> Numbered:
    """Class names, and the number or the values of each row's label.

    Args:
        cells: of each split.
        label: the column of labels, or several with a number in each; "": the data has none.
        classes: names, in the order of their numbers; (): those of the labels, or of their columns.
        where: names the data.

    Raises:
        DataError: labels that are not of single rows, a row without one, a word where a number is needed, and what
            ``task.numbered`` raises.
    """
    of, names = listed(label), named(classes, "data.classes") if classes else None
    if not of:
        return task.unlabelled(names, "data.classes")
    if task.pairs or task.dense or (len(of) > 1 and not task.row_labels):
        allowed = "one column of a label for each row" if task.dense or task.pairs else "one column"
        raise DataError("labels that the task does not take", where="data.label", found=list(of), allowed=allowed)
    may_be_bits = task.link == "sigmoid"
    may_be_none = len(of) == 1 and may_be_bits  # names of labels in one cell
    labels: dict[str, AnyArray] = {}
    for role, rows in cells.items():
        missing = np.array([[table_rows.is_missing(text) for text in rows.columns[name]] for name in of])
        gaps = np.asarray(missing.all(axis=0))
        if gaps.any() and not may_be_none:
            place = f"{rows.at(int(gaps.argmax()))}: {' and '.join(of)}"
            raise DataError("a row without a label", where=place, hint="leave such rows out, or fill them in")
        numbers = len(of) > 1 or (task.row_labels and not may_be_none and rows.numbers(of[0])[1] is None)
        texts = ["" if gap else text for gap, text in zip(gaps, rows.columns[of[0]], strict=True)]
        labels[role] = _values(rows, of, truth=may_be_bits) if numbers else np.array(texts, dtype=object)
    if names is None and (len(of) > 1 or task.program == "values"):
        names = named(list(of), "data.label")
    return numbered(task, labels, names, lambda role, i: cells[role].at(i), where)


def checked_numbers(cells: Cells, name: str, message: str = WORD) -> NDArray[np.float64]:
    """(N,) the numbers of a column, NaN where one is missing.

    Raises:
        DataError: a word among them; names the row.
    """
    numbers, word = cells.numbers(name)
    if word is not None:
        raise no_number(cells, name, word, message)
    return numbers


def no_number(cells: Cells, name: str, row: int, message: str = WORD) -> DataError:
    """The error on a word that stands where a number is needed; names the row."""
    text = cells.columns[name][row]
    hints = ["1234.5 is how numbers are read, of a finite size"] if is_foreign(text) else []
    if message == WORD:
        hints.append("data.categories names the columns whose values are names")
    place, allowed = f"{cells.at(row)}: {name}", "a number of float32, or an empty cell where it is missing"
    return DataError(message, where=place, found=text, allowed=allowed, hint="; ".join(hints) or None)


def is_foreign(text: str) -> bool:
    """Whether a text is a number that is written otherwise than numbers are read: 1,5 or 1,234,567; 1 234, 1'234;
    5 %; inf; of other digits, or another minus."""
    plain = _THOUSANDS.sub("", text.replace(",", "").removesuffix("%").strip()).replace("\N{MINUS SIGN}", "-")
    if table_rows.number_of(text) is not None or "_" in plain:
        return False
    try:
        return not math.isnan(float(plain))  # Python reads what no other language does
    except ValueError:
        return False


def _values(cells: Cells, names: Sequence[str], *, truth: bool) -> NDArray[np.float64]:
    """(N, K) labels that are numbers; ``truth``: or True and False, as 1 and 0, in all of a column."""
    columns = []
    for name in names:
        known = {text for text in cells.columns[name] if not table_rows.is_missing(text)}
        if truth and known and {text.lower() for text in known} <= TRUTH.keys():
            numbers = [TRUTH.get(text.lower(), np.nan) for text in cells.columns[name]]
            columns.append(np.array(numbers, np.float64))
        else:
            columns.append(checked_numbers(cells, name, "a label that is no number"))
    return np.stack(columns, axis=1)
