"""Answers that were recorded elsewhere: predictions in a table, of an ensemble, of a model behind an interface."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from edgekd.learn.answers import Answers, Picked
from edgekd.learn.data import Split
from edgekd.learn.teaching import AnswerSource, Span
from edgekd.tasks import CLASSES, Task
from edgekd.teachers import _columns
from edgekd.teachers._base import Asked, check_unknown, first
from edgekd.teachers._cells import Holds
from edgekd.teachers._classes import Classes as Classes
from edgekd.teachers._columns import Columns
from edgekd.teachers._forms import BY_CLASS, Form, Reader, Rows
from edgekd.teachers._forms import FORMS as FORMS
from edgekd.teachers._ids import ID_NAMES as ID_NAMES
from edgekd.teachers._ids import id_column as id_column
from edgekd.teachers._matching import Matched, Matcher, Part

IDS = "ids"  # what an array of them is called
LABEL = "label"  # what columns of labels begin with


@dataclass(frozen=True)
class Recorded:
    """Answers from a file, which find their samples by id, or by the order of these in their split.

    A row holds logits, probabilities, a label, several labels (votes, also in rows of one id), or the best few labels
    with their probabilities or the logarithms of these, whose rest is spread. Classes are told by name. An answer is
    taught under every augmented view of its sample. Where several labels may apply, a probability is one of each label,
    and labels are those that apply; of values there are ``logits`` alone, in their unit.

    Attributes:
        path: ``.npz``, ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``; or a folder with a file for each split, such as
            ``train.csv``.
        id: the column of ids (``id``, or ``ids`` of arrays); where there is none, or this is empty, order counts.
        form: ``logits``, ``probabilities``, ``log_probabilities``, ``labels`` or ``top``, where a file has several.
        ignore: columns that are none of a class.
        smoothing: of labels and votes, the share that is spread over all classes, 0 to below 1.
        missing: a sample without an answer: ``error``, or ``skip``: it is taught by its label alone.
        extra: an answer to a sample that the data does not have: ``error`` or ``skip``.
        unknown: a label that is no class: ``error``, or ``skip``: it is no answer.
    """

    path: str
    id: str = "id"
    form: Form = ""
    ignore: tuple[str, ...] = ()
    smoothing: float = 0.0
    missing: Literal["error", "skip"] = "error"
    extra: Literal["error", "skip"] = "error"
    unknown: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError("smoothing: allowed is 0 <= e < 1")

    def answers(self, asked: Asked) -> AnswerSource:
        """See ``AnswersKind``."""
        classes = Classes(asked.classes, asked.columns, self.unknown)
        matched, of_shares = self.matched(asked.splits, classes, asked.task, asked.where, asked.note)
        answers = RecordedAnswers(asked, *matched, of_shares)
        if asked.feed.views > 1:
            asked.note(
                "recorded answers are of the samples as they are: all augmented views of one are taught the same"
            )
        return answers

    def matched(
        self, splits: Mapping[str, Split], classes: Classes, task: Task, where: str, note: Callable[[str], None]
    ) -> tuple[Matched, bool]:
        """The answers and whose each is, held against the samples; and whether some are shares."""
        check_unknown(self.unknown, task, where)
        reader = Reader(classes, self.form, self.smoothing, (self.id or "id", IDS, *self.ignore), task)
        parts, of_shares = {}, False
        for split, columns in _columns.read(self.path, where, functools.partial(self._holds, reader)).items():
            read, name = reader.read(columns), self._id_column(columns)
            parts[split] = Part(read.logits, self._ids(columns, name), columns.where, name or "", [*columns.values])
            of_shares = of_shares or read.form != "logits"
            if read.note:
                note(read.note)
        if classes.skipped:
            labels = first(f"{label!r} ({count:,})" for label, count in classes.skipped.items())
            note(f"{where}: labels that are no class count as no answer: {labels}")
        return Matcher(splits, self.missing, self.extra, where, task).matched(parts, note), of_shares

    def _holds(self, reader: Reader, column: str) -> Holds:
        return "cells" if column in (self.id, IDS) else reader.holds(column)

    def _id_column(self, columns: Columns) -> str | None:
        return next((name for name in (self.id, IDS) if self.id and name in columns.values), None)

    def _ids(self, columns: Columns, name: str | None) -> list[str] | None:
        if name is None:
            return None
        values = columns.values[name]
        return [_text(value) for value in (values.tolist() if isinstance(values, np.ndarray) else values)]


def _text(value: object) -> str:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class RecordedAnswers:
    """A ``HeldSource`` of answers by what a sample is called.

    Attributes:
        recorded: the answers of each file, and means of several to one sample, whose rows are counted through.
        rows: the row that answers each sample, by its name.
    """

    asked: Asked
    recorded: Sequence[Answers]
    rows: Mapping[str, int]
    of_shares: bool
    sees_views: ClassVar[bool] = False
    may_miss: ClassVar[bool] = True

    def view(self, view: int) -> Rows:
        """See ``TeacherOutputs``: the same of each."""
        return self.split("train")

    def split(self, split: str) -> Rows:
        """See ``TeacherOutputs``."""
        return self.held(split)[:]

    def parts(self, split: str, view: int | None, spans: Sequence[Span]) -> Iterator[Rows]:
        """See ``PartSource``: the same of each view."""
        answers = self.held(split)
        yield from (answers[start:stop] for start, stop in spans)

    def held(self, split: str) -> Picked:
        """See ``HeldSource``."""
        names = self.asked.feed.names(split) or []
        rows = np.array([self.rows.get(name, -1) for name in names], np.int64)
        return Picked(self.recorded, rows, len(self.asked.classes))


class Reading(NamedTuple):
    """How a file of answers is best read: as ``form``, which is to be said where there are several, without columns.

    ``id``: the column that says which samples they are of, as far as its name tells; None: they stand in their order.
    """

    form: str
    has_several: bool
    ignore: tuple[str, ...]
    id: str | None


def best_reading(
    path: str,
    classes: Sequence[str],
    where: str,
    task: Task = CLASSES,
    form: Form = "",
    ignore: Sequence[str] = (),
) -> Reading:
    """What says most in a file of answers, or in the first file of a folder.

    Args:
        classes: of the data.
        where: who names the file, for errors.
        task: what the answers are.
        form, ignore: what the user says, see ``Recorded``.

    Raises:
        RecipeError, DataError: no such file, half of one, or none of such answers.
    """
    known = Classes(tuple(classes))
    ids = ("id", IDS, *(name for name in ID_NAMES if known.index(name) is None))
    reader = Reader(known, form, ignored=ids, task=task)
    columns = next(iter(_columns.read(path, where, reader.holds).values()))
    named_by = id_column([name for name in columns.values if known.index(name) is None])
    reader = replace(reader, ignored=("id", IDS, *filter(None, [named_by]), *ignore))
    best, *others = reader.kinds(columns)
    if form or best != BY_CLASS:
        return Reading(form or best, bool(others), (), named_by)
    labels = tuple(name for name in columns.values if others and name.startswith(LABEL))
    read = replace(reader, ignored=(*reader.ignored, *labels)).read(_only(columns, labels))
    return Reading(read.form, bool(others), labels, named_by)


def _only(columns: Columns, left_out: Sequence[str]) -> Columns:
    return replace(columns, values={name: value for name, value in columns.values.items() if name not in left_out})
