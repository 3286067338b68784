"""Recorded answers find their samples: by what these are called, or by their order in a split."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.base.scores import log_softmax
from edgekd.learn.answers import Answers, have_answer
from edgekd.learn.data import Split
from edgekd.learn.sparse_answers import Sparse
from edgekd.tasks import CLASSES, Task
from edgekd.teachers import _few, _links
from edgekd.teachers._base import first
from edgekd.teachers._forms import Rows
from edgekd.teachers._ids import id_column, renamed

How = Literal["error", "skip"]


class Part(NamedTuple):
    """The answers of a file: (N, K) logits, and what the sample of each is called; None: they stand in its order.

    ``id``: the column that says it; ``columns``: all that the file has.
    """

    logits: Answers
    ids: Sequence[str] | None
    where: str
    id: str = ""
    columns: Sequence[str] = ()


class Matched(NamedTuple):
    """Answers, whose rows are counted through from the first part to the last, and the row of each sample's by name."""

    parts: Sequence[Answers]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Matcher:
    """Matches answers with samples.

    Attributes:
        splits: all samples of the data.
        missing: what a sample without an answer is.
        extra: what an answer to a sample is that the data does not have.
        where: the ``model`` table, for errors.
        task: what the answers are.
    """

    splits: Mapping[str, Split]
    missing: How
    extra: How
    where: str
    task: Task = CLASSES

    def matched(self, parts: Mapping[str, Part], note: Callable[[str], None]) -> Matched:
        """Which row is the answer to each sample that has one.

        Raises:
            DataError: samples that nobody can call, ids of other samples, samples without an answer, another number of
                answers than samples; names the first five.
        """
        names = {split: self._names(split) for split in self.splits}
        known = {name for of in names.values() for name in of}
        self._check_twice(names)
        answers, rows_by_name, count = list[Answers](), dict[str, int](), 0
        for split, part in parts.items():
            ids = self._in_order(split, part) if part.ids is None else self._named(part, names, note)
            has_answer = have_answer(part.logits)
            first_rows, several = _rows_by_id(ids, has_answer)
            means = _means(part.logits, list(several.values()), part.where, note, self.task) if several else None
            rows_by_name |= {one: count + row for one, row in first_rows.items()}
            rows_by_name |= {one: count + len(part.logits) + i for i, one in enumerate(several)}
            answers += [part.logits] if means is None else [part.logits, means]
            count = sum(map(len, answers))
            if self.extra == "error" and (odd := [one for one in first_rows if one not in known]):
                raise self._unknown(part, odd, names, 'teacher.model.extra = "skip" passes over them')
        absent = [name for of in names.values() for name in of if name not in rows_by_name]
        if absent and (self.missing == "error" or len(absent) == len(known)):
            skips = 'teacher.model.missing = "skip" lets these be taught by labels alone'
            hint = skips if len(absent) < len(known) else None
            raise DataError("samples without an answer", where=self.where, found=first(absent), hint=hint)
        return Matched(answers, rows_by_name)

    def _named(self, part: Part, names: Mapping[str, list[str]], note: Callable[[str], None]) -> list[str]:
        """The ids of a file as the samples are called.

        Raises:
            DataError: samples are counted, though a column of the data seems to call them; or no id is a sample's.
        """
        ids = list(part.ids or ())
        if any(part.id in split.columns for split in self.splits.values()):
            hint = f'data.id = "{part.id}" calls samples by it, teacher.model.id = "" takes answers in their order'
            what = "ids, and a column of the data that may be meant: samples are called by their number"
            raise DataError(what, where=part.where, found=part.id, hint=hint)
        every = [name for of in names.values() for name in of]
        answered = [ids[i] for i in np.flatnonzero(have_answer(part.logits)).tolist()]
        known = renamed(answered, every)
        if known.note:
            note(f"{part.where}: {known.note}")
        if answered and not known.known:
            counted = all(name.rpartition("/")[2].isdigit() for name in every)
            columns = "data.id names the column of the data that says what samples are called"
            hint = columns if counted else "write them as samples are called; teacher.model.id names another column"
            raise self._unknown(part, answered, names, f"{known.likely}: {hint}" if known.likely else hint)
        by_id = dict(zip(answered, known.ids, strict=True))
        return [by_id.get(one, one) for one in ids]

    def _unknown(self, part: Part, odd: Sequence[str], names: Mapping[str, list[str]], hint: str) -> DataError:
        allowed = f"such as {first(name for of in names.values() for name in of)}"
        return DataError("ids of no sample", where=part.where, found=first(odd), allowed=allowed, hint=hint)

    def _names(self, split: str) -> list[str]:
        names = self.splits[split].names
        if names is None:
            hint = "give the data as files, or as arrays in one piece"
            raise DataError("the data does not say what its samples are called", where=f"data ({split})", hint=hint)
        return names

    def _check_twice(self, names: Mapping[str, list[str]]) -> None:
        counts = Counter(name for of in names.values() for name in of)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise DataError("several samples of one id", where="data", found=first(twice))

    def _in_order(self, part: str, of: Part) -> list[str]:
        """What the samples of a file without ids are called.

        Raises:
            DataError: nobody can tell which they are, or they are more or fewer than the samples.
        """
        numbered = [split for split in self.splits.values() if split.ids is not None and split.ids.dtype.kind in "iu"]
        if len(numbered) < len(self.splits):
            example = first(self._names("train"))
            column = id_column(of.columns)
            hint = "give each answer the id of its sample"
            hint = hint if column is None else f'teacher.model.id = "{column}" takes that column for ids'
            raise DataError(
                "no ids, and the samples have names", where=of.where, allowed=f"such as {example}", hint=hint
            )
        counted = {split.part for split in numbered}
        if part not in counted:
            hint = "ids, or a file (or array) for each of them, tell the rows apart"
            allowed = first(sorted(counted)) if part == "" else "one for all: the data was read in one piece"
            raise DataError("no ids, and rows of several splits", where=of.where, allowed=allowed, hint=hint)
        ids = np.concatenate([np.asarray(split.ids) for split in numbered if split.part == part])
        count = int(ids.max(initial=-1)) + 1
        strict = self.missing == "error" if len(of.logits) < count else self.extra == "error"
        if len(of.logits) != count and strict:
            raise DataError(
                "another number of answers than of samples", where=of.where, found=len(of.logits), allowed=str(count)
            )
        return [f"{part}/{i}" if part else str(i) for i in range(len(of.logits))]


def _rows_by_id(ids: Sequence[str], has_answer: NDArray[np.bool_]) -> tuple[dict[str, int], dict[str, list[int]]]:
    """The first row that answers each sample; and of those samples that several answer all rows, by the first one."""
    first_rows: dict[str, int] = {}
    several: dict[str, list[int]] = {}
    for i in np.flatnonzero(has_answer).tolist():
        if (row := first_rows.setdefault(ids[i], i)) != i:
            several.setdefault(ids[i], [row]).append(i)
    return first_rows, dict(sorted(several.items(), key=lambda rows: rows[1][0]))


def _means(
    logits: Answers, groups: Sequence[Sequence[int]], where: str, note: Callable[[str], None], task: Task
) -> Answers:
    """What several answers to a sample say together, of each: the mean share of each class, or the mean value."""
    note(f"{where}: {len(groups):,} samples have several answers, whose mean counts")
    mean = _mean if task.exclusive else functools.partial(_links.mean, task=task)
    if isinstance(logits, Sparse):
        return _few.means(logits, groups, mean)
    return np.stack([mean(logits[np.array(rows)]) for rows in groups])


def _mean(logits: Rows) -> Rows:
    tiny = float(np.finfo(np.float32).tiny)
    mean: Rows = np.log(np.maximum(np.exp(log_softmax(logits)).mean(axis=0), tiny)).astype(np.float32)
    return mean
