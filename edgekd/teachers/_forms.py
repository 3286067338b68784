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

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.answers import Answers
from edgekd.learn.sparse_answers import Sparse
from edgekd.tasks import CLASSES, Task
from edgekd.teachers import _links, _scores
from edgekd.teachers._base import first
from edgekd.teachers._best import Best, are_lists, best, by_label, numbered
from edgekd.teachers._cells import Cells, Holds, Numbers, is_empty
from edgekd.teachers._classes import Classes, Naming
from edgekd.teachers._columns import Column, Columns
from edgekd.teachers._few import Few, spread, votes
from edgekd.teachers._mapped import of_array
from edgekd.teachers._scores import Unit

Form = Literal["", "logits", "probabilities", "log_probabilities", "labels", "top"]
SCORES = ("logits", "probabilities", "log_probabilities")
NUMBERS_OF = (*SCORES, "top", "top_probabilities", "top_log_probabilities")  # columns of rows or tables of numbers
COMMA = re.compile(r"\s*[+-]?\d+,\d*\s*")
_NUMBERED = re.compile(r"(label|probability|log_probability|logprob)_\d+")
FORMS = (*SCORES, "labels", "top")
BY_CLASS = "a column for each class"
LISTS = ("scores", "predictions", "outputs")  # what lists of {"label": ..., "score": ...} may be called
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
        is_exact: probabilities are such, and neither percentages nor votes.
    """

    classes: Classes
    form: Form = ""
    smoothing: float = 0.0
    ignored: tuple[str, ...] = ()
    task: Task = CLASSES
    is_exact: bool = False

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
        note = f"{columns.where}: {read.note}" if read.note else None
        return read._replace(form=read.form or kind, note=note)

    def holds(self, name: str) -> Holds:
        """What is read of a table's column of this name."""
        if name in NUMBERS_OF:
            return "rows"
        if name in ("label", "labels", "top_labels") or _NUMBERED.fullmatch(name):
            return "cells"
        if name in LISTS:
            return "cells"
        return "numbers" if self.classes.is_in(name) else "nothing"

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
                kinds[name] = lambda name=name: self._whole(columns, name)  # type: ignore[misc]
        for name in LISTS:
            if "probabilities" not in kinds and name in names and are_lists(names[name]):
                kinds["probabilities"] = lambda name=name: self._whole(columns, name, "probabilities")  # type: ignore[misc]
        if (top := best(columns)) is not None:
            kinds["top"] = lambda: Read(self._top(columns, top))
        elif labels := [name for name in ("label", "labels") if name in names] or numbered(names, "label"):
            kinds["labels"] = lambda: Read(self._votes(columns, labels))
        naming = self.classes.of_columns(self._free(columns))
        if naming.columns and (not naming.note or not kinds):  # names that are but alike count where nothing else does
            kinds[BY_CLASS] = lambda: self._by_class(columns, naming)
        return kinds

    def _free(self, columns: Columns) -> list[str]:
        return [name for name in columns.values if name not in self.ignored]

    def _nothing(self, columns: Columns) -> DataError:
        allowed = "a column for each class; or logits, probabilities, log_probabilities, label, labels, top"
        wanted = f"no answers of the form {self.form!r} in it" if self.form else "no answers in it"
        hint = f"the classes are {first(self.classes.names)}"
        for name in self._free(columns):
            shape = getattr(columns.values[name], "shape", None) or ()
            if not self.form and shape[1:] == (len(self.classes.names),):
                hint = f"{name!r} holds a number for each class: call it probabilities or logits"
        return DataError(wanted, where=columns.where, found=first(columns.values), allowed=allowed, hint=hint)

    def _by_class(self, columns: Columns, naming: Naming) -> Read:
        """Of a column for each class: shares where rows sum to 1 or 100, else logits, unless the recipe says it."""
        absent = [name for i, name in enumerate(self.classes.names) if i not in naming.columns.values()]
        if absent:
            allowed = first(self._free(columns))
            raise DataError("no column of a class", where=columns.where, found=first(absent), allowed=allowed)
        others = [name for name in self._free(columns) if name not in naming.columns]
        if odd := [name for name in others if _is_numeric(columns.values[name])]:
            hint = "teacher.model.ignore leaves columns out that are none"
            hint = f"pandas writes one for its index: to_csv(..., index=False); {hint}" if "" in odd else hint
            what, allowed = "columns of no class of the data", first(self.classes.names)
            raise DataError(what, where=columns.where, found=first(odd), allowed=allowed, hint=hint)
        by_number = {number: name for name, number in naming.columns.items()}
        table = _table([_numbers(columns, by_number[i]) for i in range(len(self.classes.names))])
        order, notes = np.arange(len(self.classes.names)), [naming.note] if naming.note else []
        if self.form in SCORES:
            read = self._read(table, order, self.form, columns)
        else:
            unit, why = _scores.guessed(table, self.task, columns.where)
            notes += [f"read as {unit}, as {why}; teacher.model.form says otherwise"] if why else []
            read = self._read(table, order, "logits" if unit == "logits" else "probabilities", columns, unit)
        notes += [read.note] if read.note else []
        return read._replace(note="; ".join(notes) or None)

    def _whole(self, columns: Columns, column: str, form: str = "") -> Read:
        """Of one column, a row of numbers a sample, in the classes' order or by name."""
        values, names, name = columns.values[column], columns.classes, form or column
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu":
            return self._read(values, self.classes.order(values.shape[1], names, columns.where), name, columns)
        if isinstance(values, np.ndarray) and values.dtype.kind != "O":
            shape = f"{values.dtype} {values.shape}"
            raise DataError("not (samples, classes)", where=f"{columns.where}: {column}", found=shape)
        if isinstance(values, Cells) and (size := values.shape) is not None and len(size) == 2:
            order = self.classes.order(size[1], names, columns.place(0))
            return self._read(Numbers(size, values.numbers), order, name, columns)
        values = by_label(values)
        rows = ((self._named(value, names, columns.place(i)), value) for i, value in enumerate(values))
        count, is_of_shares = len(self.classes.names), name != "logits" and self.task.exclusive
        if is_of_shares and any(isinstance(value, Mapping) and 0 < len(value) < count for value in values):
            return Read(self._spread(Few.of((row for row, _ in rows), count), columns, name == "log_probabilities"))
        table, partial = np.full((len(values), count), np.nan), False
        for i, ((classes, numbers), value) in enumerate(rows):
            table[i, list(classes)] = numbers
            partial = partial or (isinstance(value, Mapping) and len(classes) < max(len(value), count))
        if partial and is_of_shares:
            return Read(self._spread(Few.of_table(table), columns, name == "log_probabilities"))
        return self._read(table, np.arange(count), name, columns)

    def _read(
        self,
        values: AnyArray | Numbers,
        order: NDArray[np.int64],
        form: str,
        columns: Columns,
        unit: Unit | None = None,
    ) -> Read:
        """(N, C) numbers of a form, of which each class has a column; ``unit``: what they are, where it is known."""

        def ordered(rows: slice) -> NDArray[np.float64]:
            return np.asarray(values[rows])[:, order].astype(np.float64)

        note = None
        if unit is None:
            unit = _scores.unit(form, Numbers((len(values), len(order)), ordered), self.task, self.is_exact)
            note = _scores.SAYS.get(unit)
        read = functools.partial(_scores.logits, form=unit, columns=columns, task=self.task)
        return Read(of_array(values, order, read, columns.where), note, form)

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

    def _top(self, columns: Columns, top: Best) -> Sparse:
        """The best few of each sample; what they leave is spread over the other classes."""

        def row(i: int) -> tuple[Sequence[int], Sequence[float]]:
            labels, values = top.of(i)
            indices = self.classes.indices(labels, columns.place(i))
            return list(indices), [_number(values[k], columns.place(i)) for k in indices.values()]

        few = Few.of(map(row, range(len(columns))), len(self.classes.names))
        largest = np.full(len(columns), -np.inf)
        np.maximum.at(largest, few.rows, few.values)
        # A share of the best can't be 0, but its logarithm is where it is all.
        are_logs = top.logs or few.values.min(initial=0.0) < 0 or (top.logs is None and (largest == 0).any())
        return self._spread(few, columns, bool(are_logs))


def _number(value: object, place: str) -> float:
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        raise DataError("not a number", where=place, found=value)
    percentage = value.rstrip().removesuffix("%") if isinstance(value, str) and "%" in value else None
    try:
        return float(value) if percentage is None else float(percentage) / 100
    except (ValueError, OverflowError) as err:
        has_comma = isinstance(value, str) and COMMA.fullmatch(value)
        hint = "a point stands before decimals, and no comma" if has_comma else None
        raise DataError("not a number", where=place, found=value, hint=hint) from err


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
