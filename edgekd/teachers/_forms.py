"""What recorded answers say, in whatever form: scores, shares, labels, votes, the best few; as (N, K) logits.

A share becomes its logarithm, whose softmax it is; of no share at all the smallest normal float's. A row without an
answer is NaN. What is no class of which one is right (labels, values) is read as its task says: ``_links``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.learn.answers import Answers, blocks
from edgekd.learn.sparse_answers import Sparse
from edgekd.tasks import CLASSES, Task
from edgekd.teachers import _links
from edgekd.teachers._base import first
from edgekd.teachers._cells import Cells, Holds, Numbers, is_empty
from edgekd.teachers._classes import Classes
from edgekd.teachers._columns import Column, Columns
from edgekd.teachers._few import SLACK, Few, log, refuse, slack, spread, votes
from edgekd.teachers._mapped import of_array

Form = Literal["", "logits", "probabilities", "log_probabilities", "labels", "top"]
SCORES = ("logits", "probabilities", "log_probabilities")
NUMBERS_OF = (*SCORES, "top", "top_probabilities", "top_log_probabilities")  # columns of rows or tables of numbers
_NUMBERED = re.compile(r"(label|probability|log_probability|logprob)_\d+")
FORMS = (*SCORES, "labels", "top")
BY_CLASS = "a column for each class"
Rows = NDArray[np.float32]


class Read(NamedTuple):
    """(N, K) logits, NaN where there is no answer; what the user is to know of how they were read; the form.

    Labels and the best few are held sparse, and a large array of a file stays there.
    """

    logits: Answers
    note: str | None = None
    form: str = ""


@dataclass(frozen=True)
class Reader:
    """How answers are read.

    Attributes:
        classes: ours, and how names and columns of the teacher's are told apart.
        form: which of the file's columns count, where there are several kinds; "": those that are there.
        smoothing: of labels and votes, the share that is spread over all classes.
        ignored: columns that are none of a class; the id's is one.
        task: what the numbers are.
    """

    classes: Classes
    form: Form = ""
    smoothing: float = 0.0
    ignored: tuple[str, ...] = ()
    task: Task = CLASSES

    def read(self, columns: Columns) -> Read:
        """The answers of a file.

        Raises:
            DataError: it holds none, several kinds of them, those of other classes, numbers that are no such, or what
                says nothing of the task; names the first five.
        """
        kinds = self._kinds(columns)
        if self.form:
            wanted = self.form if self.form in kinds or self.form not in SCORES else BY_CLASS
            kinds = {name: make for name, make in kinds.items() if name == wanted}
        if not kinds:
            raise self._nothing(columns)
        if len(kinds) > 1:
            hint = "teacher.model.form says which counts"
            raise DataError("answers of several kinds", where=columns.where, found=", ".join(kinds), hint=hint)
        kind = next(iter(kinds))
        _links.check_form(self.form if kind == BY_CLASS and self.form else kind, self.task, columns.where)
        read = kinds[kind]()
        return read._replace(form=read.form or kind)

    def holds(self, name: str) -> Holds:
        """What is read of a table's column of this name."""
        if name in NUMBERS_OF:
            return "rows"
        if name in ("label", "labels", "top_labels") or _NUMBERED.fullmatch(name):
            return "cells"
        return "nothing" if self.classes.index(name) is None else "numbers"

    def kinds(self, columns: Columns) -> list[str]:
        """What there is to read in a file, what says most first: forms, or ``BY_CLASS``.

        Raises:
            DataError: nothing.
        """
        kinds = self._kinds(columns)
        if not kinds:
            raise self._nothing(columns)
        return [name for name in (*SCORES, BY_CLASS, "top", "labels") if name in kinds]

    def _kinds(self, columns: Columns) -> dict[str, Callable[[], Read]]:
        """What there is to read, by what it is called."""
        names = columns.values
        kinds: dict[str, Callable[[], Read]] = {}
        for name in SCORES:
            if name in names:
                kinds[name] = lambda name=name: Read(self._whole(columns, name))  # type: ignore[misc]
        if (best := _best(columns)) is not None:
            kinds["top"] = lambda: Read(self._top(columns, best))
        elif labels := [name for name in ("label", "labels") if name in names] or _numbered(names, "label"):
            kinds["labels"] = lambda: Read(self._votes(columns, labels))
        if any(self.classes.index(name) is not None for name in self._free(columns)):
            kinds[BY_CLASS] = lambda: self._by_class(columns)
        return kinds

    def _free(self, columns: Columns) -> list[str]:
        return [name for name in columns.values if name not in self.ignored]

    def _nothing(self, columns: Columns) -> DataError:
        allowed = "a column for each class; or logits, probabilities, log_probabilities, label, labels, top"
        wanted = f"no answers of the form {self.form!r} in it" if self.form else "no answers in it"
        hint = f"the classes are {first(self.classes.names)}"
        return DataError(wanted, where=columns.where, found=first(columns.values), allowed=allowed, hint=hint)

    def _by_class(self, columns: Columns) -> Read:
        """Of a column for each class: shares where every row sums to 1, else logits, unless the recipe says it."""
        indices = {name: self.classes.index(name) for name in self._free(columns)}
        absent = [name for i, name in enumerate(self.classes.names) if i not in indices.values()]
        if absent:
            raise DataError("no column of a class", where=columns.where, found=first(absent), allowed=first(indices))
        others = {name for name, index in indices.items() if index is None}
        if odd := [name for name in columns.values if name in others and _is_numeric(columns.values[name])]:
            hint = "teacher.model.ignore leaves columns out that are none"
            allowed = first(self.classes.names)
            raise DataError(
                "columns of no class of the data", where=columns.where, found=first(odd), allowed=allowed, hint=hint
            )
        ordered = {index: name for name, index in indices.items() if index is not None}
        table = _table([_numbers(columns, ordered[i]) for i in range(len(self.classes.names))])
        form, note = self.form, None
        if form not in SCORES:
            form, why = _guessed(table, self.task)
            note = f"{columns.where}: read as {form}, as {why}; teacher.model.form says otherwise" if why else None
        read = functools.partial(_logits, form=form, columns=columns, task=self.task)
        return Read(of_array(table, np.arange(table.shape[1]), read, columns.where), note, form)

    def _whole(self, columns: Columns, name: str) -> Answers:
        """Of one column, a row of numbers a sample, in the classes' order or by name."""
        values, names = columns.values[name], columns.classes
        read = functools.partial(_logits, form=name, columns=columns, task=self.task)
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu":
            order = self.classes.order(values.shape[1], names, columns.where)
            return of_array(values, order, read, columns.where)
        if isinstance(values, np.ndarray) and values.dtype.kind != "O":
            shape = f"{values.dtype} {values.shape}"
            raise DataError("not (samples, classes)", where=f"{columns.where}: {name}", found=shape)
        if isinstance(values, Cells) and (size := values.shape) is not None and len(size) == 2:
            order, rows_of = self.classes.order(size[1], names, columns.place(0)), Numbers(size, values.numbers)
            return of_array(rows_of, order, read, columns.where)
        rows = ((self._named(value, names, columns.place(i)), value) for i, value in enumerate(values))
        count, is_of_shares = len(self.classes.names), name != "logits" and self.task.exclusive
        if is_of_shares and any(isinstance(value, Mapping) and 0 < len(value) < count for value in values):
            return self._spread(Few.of((row for row, _ in rows), count), columns, name == "log_probabilities")
        table, partial = np.full((len(values), count), np.nan), False
        for i, ((classes, numbers), value) in enumerate(rows):
            table[i, list(classes)] = numbers
            partial = partial or (isinstance(value, Mapping) and len(classes) < max(len(value), count))
        if partial and is_of_shares:
            return self._spread(Few.of_table(table), columns, name == "log_probabilities")
        return of_array(table, np.arange(count), read, columns.where)

    def _named(self, value: object, names: Column | None, place: str) -> tuple[Sequence[int], Sequence[float]]:
        """The classes that a cell has numbers of, and these; none of an empty cell."""
        if isinstance(value, Mapping) and value:
            indices, numbers = self.classes.indices(list(value), place), list(value.values())
            return list(indices), [_number(numbers[k], place) for k in indices.values()]
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value):
            order, given = self.classes.order(len(value), names, place), [_number(one, place) for one in value]
            return range(len(order)), [given[k] for k in order]
        if value is not None and value != "":
            raise DataError("no scores", where=place, found=value, allowed="a list, or a table by class")
        return (), ()

    def _spread(self, few: Few, columns: Columns, are_logs: bool) -> Sparse:
        return spread(replace(few, values=np.exp(few.values)) if are_logs else few, columns)

    def _votes(self, columns: Columns, names: Sequence[str]) -> Answers:
        """Shares of the labels that each sample was given, in one column or several."""
        if not self.task.exclusive:
            return _links.of_labels(columns, names, self.classes.names, self.task, self.smoothing)
        labelled = [self.classes.labelled(columns, name) for name in names]
        rows, classes = (np.concatenate(parts) for parts in zip(*labelled, strict=True))
        return votes(rows, classes, (len(columns), len(self.classes.names)), self.smoothing)

    def _top(self, columns: Columns, best: Best) -> Sparse:
        """The best few of each sample; what they leave is spread over the other classes."""

        def row(i: int) -> tuple[Sequence[int], Sequence[float]]:
            labels, values = best.of(i)
            indices = self.classes.indices(labels, columns.place(i))
            return list(indices), [_number(values[k], columns.place(i)) for k in indices.values()]

        few = Few.of(map(row, range(len(columns))), len(self.classes.names))
        largest = np.full(len(columns), -np.inf)
        np.maximum.at(largest, few.rows, few.values)
        # A share of the best can't be 0, but its logarithm is where it is all.
        are_logs = best.logs or few.values.min(initial=0.0) < 0 or (best.logs is None and (largest == 0).any())
        return self._spread(few, columns, bool(are_logs))


class Best(NamedTuple):
    """How the best few labels of a row, and their numbers, are read; whether these are logarithms (None: not said)."""

    of: Callable[[int], tuple[list[object], list[object]]]
    logs: bool | None = None


def _best(columns: Columns) -> Best | None:
    """How the best few labels of a row, and their shares or the logarithms of these, are read; None: none are there."""
    values, shares = columns.values, ("probabilities", "log_probabilities")
    if "top" in values:
        return Best(lambda i: _pairs(values["top"][i], columns.place(i)))
    if "top_labels" in values:
        known = [f"top_{name}" for name in shares if f"top_{name}" in values]
        if not known:
            raise DataError(
                "top_labels alone", where=columns.where, allowed="top_probabilities or top_log_probabilities"
            )
        labels_of, of = _in_memory(values["top_labels"]), _in_memory(values[known[0]])
        return Best(lambda i: _filled(_listed(labels_of[i]), _listed(of[i]), columns.place(i)), "log_" in known[0])
    labels = _numbered(values, "label")
    for name in ("probability", "log_probability", "logprob"):
        if labels and (numbers := _numbered(values, name)):

            def numbered(i: int, numbers: Sequence[str] = numbers) -> tuple[list[object], list[object]]:
                return _filled(
                    [values[one][i] for one in labels], [values[one][i] for one in numbers], columns.place(i)
                )

            return Best(numbered, name.startswith("log"))
    return None


def _in_memory(values: Column) -> Column:
    """A column of which each row is asked for: slow where it is mapped from a file."""
    return np.array(values) if isinstance(values, np.memmap) else values


def _numbered(names: Mapping[str, Column], name: str) -> list[str]:
    """``label_1``, ``label_2`` and so on, as far as they go."""
    numbered: list[str] = []
    while f"{name}_{len(numbered) + 1}" in names:
        numbered.append(f"{name}_{len(numbered) + 1}")
    return numbered


def _pairs(value: object, place: str) -> tuple[list[object], list[object]]:
    if value is None or value == "":
        return [], []
    if isinstance(value, Mapping):
        return list(value), list(value.values())
    pairs = [list(pair) for pair in value] if isinstance(value, Sequence) and not isinstance(value, str) else [[]]
    if any(len(pair) != 2 for pair in pairs):
        raise DataError("no labels with shares", where=place, found=value, allowed="[[label, share], ...], or a table")
    return [label for label, _ in pairs], [share for _, share in pairs]


def _filled(labels: list[object], values: list[object], place: str) -> tuple[list[object], list[object]]:
    """Labels and their shares, without those that are empty."""
    if len(labels) != len(values):
        raise DataError(
            "another number of shares than of labels", where=place, found=len(values), allowed=str(len(labels))
        )
    pairs = [pair for pair in zip(labels, values, strict=True) if not is_empty(pair[0])]
    return [label for label, _ in pairs], [value for _, value in pairs]


def _listed(value: object) -> list[object]:
    if isinstance(value, np.ndarray):
        return list(value.tolist())
    return (
        [] if value is None else list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    )


def _number(value: object, place: str) -> float:
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        raise DataError("not a number", where=place, found=value)
    try:
        return float(value)
    except (ValueError, OverflowError) as err:
        raise DataError("not a number", where=place, found=value) from err


def _numbers(columns: Columns, name: str) -> NDArray[np.float64] | Cells:
    """(N,) a column of numbers, NaN where a cell is empty."""
    values = columns.values[name]
    if isinstance(values, Cells) and values.shape == (len(values),):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and values.ndim == 1:
        return values.astype(np.float64)
    filled = ["nan" if is_empty(value) else value for value in values]
    try:
        return np.array(filled, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array([_number(value, f"{columns.place(i)}: {name}") for i, value in enumerate(filled)])


def _is_numeric(values: Column) -> bool:
    """Whether a column may be of a class: numbers alone, and at least one."""
    cells = [value for value in values if not is_empty(value)]
    try:
        return bool(cells) and all(np.isfinite(float(value)) for value in cells)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _table(columns: Sequence[NDArray[np.float64] | Cells]) -> Numbers:
    """(N, K) numbers of K columns."""

    def rows_of(rows: slice) -> NDArray[np.float64]:
        parts = [column.numbers(rows) if isinstance(column, Cells) else column[rows] for column in columns]
        return np.stack(parts, axis=1)

    return Numbers((len(columns[0]), len(columns)), rows_of)


def _guessed(table: Numbers, task: Task) -> tuple[Form, str]:
    """The form of (N, K) numbers of which nobody said it, and why; of values there is but one."""
    if task.link == "":
        return "logits", ""
    are_shares, count = True, 0
    for block in blocks(table.shape):
        rows = table[block]
        rows = rows[~np.isnan(rows).any(axis=1)]
        sums = np.abs(rows.sum(1) - 1) <= slack(rows.shape[1]) if task.exclusive else rows <= 1
        are_shares, count = are_shares and bool((rows >= 0).all() and sums.all()), count + len(rows)
    reason = "all rows sum to 1" if task.exclusive else "all lie in 0..1"
    return ("probabilities", reason) if are_shares and count else ("logits", f"not {reason}")


def _logits(table: NDArray[np.float64], form: str, columns: Columns, task: Task) -> Rows:
    """(N, K) numbers of a form as logits.

    Raises:
        DataError: a row is filled in part; shares that are none, or of classes do not sum to 1.
    """
    empty = np.isnan(table)
    if (part := np.flatnonzero(empty.any(axis=1) & ~empty.all(axis=1))).size:
        places = first(columns.place(int(i)).removeprefix(f"{columns.where}, ") for i in part)
        raise DataError("rows without a number for some class", where=columns.where, found=places)
    known = ~empty[:, 0]
    if not np.isfinite(table[known]).all() and form != "log_probabilities":
        bad = np.flatnonzero(np.isinf(table).any(axis=1))
        raise DataError("not finite", where=columns.place(int(bad[0])), found=f"Inf, in {len(bad):,} rows")
    if form == "logits":
        return table.astype(np.float32)
    shares = np.exp(table) if form == "log_probabilities" else table
    if not task.exclusive:
        return _links.of_probabilities(shares, task, columns)
    total = shares.sum(axis=1)
    refuse(known & ((shares < -SLACK).any(axis=1) | (np.abs(total - 1) > slack(shares.shape[1]))), total, columns)
    return log(shares)
