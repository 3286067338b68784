"""In which form a teacher's answers are kept: dense numbers of 4 or 2 bytes, or the likeliest classes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.scores import log_softmax
from edgekd.learn.answers import Answers, Index, Logits, have_answer
from edgekd.learn.sparse_answers import expand
from edgekd.spec.teacher_outputs import TeacherOutputs as Table

MOST = float(np.finfo(np.float16).max)  # 65,504


class Form(Protocol):
    """How (N, K) logits become N records of one size, and logits again.

    Attributes:
        name: says all that a record depends on; stands in keys.
    """

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> int:
        """C."""

    @property
    def record(self) -> np.dtype[np.generic]:
        """Of one row; little-endian, so that a cache may move."""

    def too_large(self, logits: Logits) -> int | None:
        """The first row with a number that is larger than the form can hold; None where there is none."""

    def encode(self, logits: Logits) -> AnyArray:
        """N records, which lose what the form does not hold."""

    def decode(self, records: AnyArray) -> Logits:
        """(N, K) logits of N records, as a new array; NaN where there was no answer."""


@dataclass(frozen=True)
class Dense:
    """Every number, in float32 as it was or in float16: three digits of it, up to 65,504."""

    columns: int
    kind: str = "float32"

    @property
    def name(self) -> str:
        """See ``Form``."""
        return f"{self.kind} of {self.columns}"

    @property
    def record(self) -> np.dtype[np.generic]:
        """See ``Form``."""
        return np.dtype((self._number, (self.columns,)))

    @property
    def _number(self) -> str:
        return "<f2" if self.kind == "float16" else "<f4"

    def too_large(self, logits: Logits) -> int | None:
        """See ``Form``: what float16 would make infinite."""
        if self.kind != "float16":
            return None
        large = np.flatnonzero((np.abs(logits) > MOST).any(axis=1))
        return int(large[0]) if len(large) else None

    def encode(self, logits: Logits) -> AnyArray:
        """See ``Form``."""
        return logits.astype(self._number)

    def decode(self, records: AnyArray) -> Logits:
        """See ``Form``."""
        return np.asarray(records, np.float32)


@dataclass(frozen=True)
class Top:
    """Of each head its likeliest classes with their log-probabilities, in float16, and what one of the others has.

    A softmax over what is decoded gives the teacher's probabilities of those classes, and the others share the rest
    equally. The level of the logits is lost: they are log-probabilities.

    Attributes:
        sizes: classes of each head, in the order of the columns.
        count: that are kept of each, or all it has.
    """

    sizes: tuple[int, ...]
    count: int

    @property
    def name(self) -> str:
        """See ``Form``."""
        return f"top {self.count} of {'+'.join(map(str, self.sizes))}"

    @property
    def columns(self) -> int:
        """See ``Form``."""
        return sum(self.sizes)

    @property
    def record(self) -> np.dtype[np.generic]:
        """See ``Form``: of each head its classes, their values, and the value of each other class."""
        fields: list[tuple[str, str, tuple[int, ...]]] = []
        for i, size in enumerate(self.sizes):
            kept = min(self.count, size)
            label = "u1" if size <= 2**8 else "<u2" if size <= 2**16 else "<u4"
            fields += [(f"class {i}", label, (kept,)), (f"value {i}", "<f2", (kept,)), (f"rest {i}", "<f2", ())]
        return np.dtype(fields)

    def too_large(self, logits: Logits) -> int | None:
        """See ``Form``: a log-probability that is too small is cut, which changes no probability."""
        return None

    def encode(self, logits: Logits) -> AnyArray:
        """See ``Form``."""
        records, start = np.zeros(len(logits), self.record), 0
        for i, size in enumerate(self.sizes):
            logs = log_softmax(logits[:, start : start + size])
            kept, start = min(self.count, size), start + size
            best = _best(logs, kept)
            records[f"class {i}"] = best
            records[f"value {i}"] = np.clip(np.take_along_axis(logs, best, axis=1), -MOST, 0)
            if kept < size:
                np.put_along_axis(logs, best, -np.inf, axis=1)
                records[f"rest {i}"] = np.clip(_mean_of_shares(logs, size - kept), -MOST, 0)
        return records

    def decode(self, records: AnyArray) -> Logits:
        """See ``Form``."""
        logits, start = np.empty((len(records), self.columns), np.float32), 0
        rows = np.arange(len(records))[:, None]
        for i, size in enumerate(self.sizes):
            part, start = logits[:, start : start + size], start + size
            expand(part, records[f"rest {i}"], rows, records[f"class {i}"], records[f"value {i}"])
        return logits


class Reshaped:
    """Answers as a form would keep them, encoded and decoded when they are fetched: bit by bit those of its records."""

    def __init__(self, answers: Answers, form: Form) -> None:
        self._answers, self._form = answers, form
        self.shape = (len(answers), form.columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index | slice) -> Logits:
        return self._form.decode(self._form.encode(self._answers[index]))

    def answered(self) -> NDArray[np.bool_]:
        """See ``learn.answers.Fetched``."""
        return have_answer(self._answers)


def in_form(answers: Answers, form: Form) -> Answers:
    """Answers as a form would keep them; those that it would keep as they are, themselves."""
    return answers if form == Dense(form.columns) else Reshaped(answers, form)


def _best(logs: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(N, count) the columns of the largest of (N, K) values, in falling order; of equal ones the first."""
    size = logs.shape[1]
    best = np.sort(np.argpartition(logs, size - count, axis=1)[:, size - count :], axis=1)
    order = np.argsort(-np.take_along_axis(logs, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def _mean_of_shares(logs: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(N,) the logarithm of the mean of ``count`` shares, of which the logarithms are given; NaN of NaN."""
    highest = logs.max(axis=1)
    with np.errstate(invalid="ignore"):  # a row without an answer
        mean: NDArray[np.float64] = highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1)) - np.log(count)
    return mean


def of(table: Table, sizes: Sequence[int]) -> Form:
    """The form that a recipe asks for, of a teacher of heads of so many classes."""
    return Top(tuple(sizes), table.top) if table.form == "top" else Dense(sum(sizes), table.form)
