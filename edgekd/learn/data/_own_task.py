"""A user's own task is tried on scores that are made up, before anything is trained by it: what its methods give."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import FactoryError
from edgekd.tasks import At, Decided, Numbered, Record, Task, is_built_in

SAMPLES = 6
LOOSE = 0.05  # a tolerance, as of int8


class Form(NamedTuple):
    """What an array is to be: of a shape, with numbers of these kinds of numpy's, between two of them."""

    shape: tuple[int, ...]
    kinds: str = "fiu"
    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        kind = "truth values" if self.kinds == "b" else "finite numbers"
        span = "" if self.low == -math.inf else f", at least {self.low:g}"
        return f"an array {self.shape} of {kind}{span}" + ("" if self.high == math.inf else f", at most {self.high:g}")

    def holds(self, value: object) -> bool:
        """Whether a value is such an array."""
        array = np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None
        if array is None or array.shape != self.shape or array.dtype.kind not in self.kinds:
            return False
        return bool(np.isfinite(array).all() and (array >= self.low).all() and (array <= self.high).all())


def numbered(task: Task, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
    """``task.numbered``; what a user's own gives is held to what a data set takes.

    Raises:
        FactoryError: it raised, or gave something else.
        DataError: labels of another kind than the task's.
    """
    if (path := _name(task)) is None:
        return task.numbered(labels, names, at, where)
    place = f"{path}.numbered"
    given = plugins.call_user(task.numbered, place, labels, names, at, where)
    if not isinstance(given, Numbered):
        _refuse(place, given, "edgekd.tasks.Numbered(names, labels)")
    if not all(isinstance(name, str) and name for name in given.names) or len({*given.names}) < len(given.names):
        _refuse(f"{place}: names", given.names, "a text for each column of the output, each another one")
    if sorted(given.labels) != sorted(labels):
        _refuse(f"{place}: labels", sorted(given.labels), f"labels of {', '.join(labels)}")
    for split, numbers in given.labels.items():
        if not isinstance(numbers, np.ndarray) or numbers.dtype.kind not in "fiub" or np.isinf(numbers).any():
            allowed = "an array of finite numbers, NaN or -1 where one is not known"
            _refuse(f"{place}: labels of {split}", numbers, allowed)
        if len(numbers) != len(labels[split]):
            _refuse(f"{place}: labels of {split}", numbers.shape, f"{len(labels[split])} of them, one a sample")
    return Numbered(tuple(given.names), given.labels, given.notes)


def shape_of(task: Task, names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
    """``task.shape``; a user's own is held to be one of whole numbers.

    Raises:
        FactoryError: it raised, or gave something else. RecipeError: it can't be told without labels.
    """
    if (path := _name(task)) is None:
        return task.shape(names, labels)
    shape = plugins.call_user(task.shape, f"{path}.shape", names, labels)
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size > 0 for size in shape):
        _refuse(f"{path}.shape", shape, "a tuple of whole numbers above 0")
    if not -len(shape) <= task.axis < len(shape):
        _refuse(f"{path}.shape", shape, f"a tuple with an axis {task.axis}, which the names count")
    return shape


def fitted(task: Task, labels: AnyArray | None) -> Task:
    """``task.fitted``; a user's own is held to be a task, whose scale is numbers for each column.

    Raises:
        FactoryError: it raised, or gave something else.
    """
    if (path := _name(task)) is None:
        return task.fitted(labels)
    known = plugins.call_user(task.fitted, f"{path}.fitted", labels)
    if not isinstance(known, type(task)):
        _refuse(f"{path}.fitted", known, f"a {type(task).__name__}")
    if (scale := known.scale) is not None and (not isinstance(scale, tuple) or [*map(np.ndim, scale)] != [1, 1]):
        _refuse(f"{path}.scale", scale, "None, or (means, standard deviations) of the columns")
    return known


def try_out(task: Task, shape: tuple[int, ...], names: Sequence[str], labels: AnyArray | None) -> None:
    """Call what a task does with scores, and hold what it gives to what the house takes. A built-in one has its tests.

    Args:
        shape: of a sample's scores.
        labels: of the training split, as the task numbered them; None: there are none.

    Raises:
        FactoryError: a method raised, or gave something else; names it.
    """
    if _name(task) is None:
        return
    trial = _Trial(task, shape, tuple(names))
    if labels is not None:
        trial.labels(labels)
    trial.decisions()
    trial.answers()


class _Trial:
    def __init__(self, task: Task, shape: tuple[int, ...], names: tuple[str, ...]) -> None:
        self.task, self.shape, self.names, self.path = task, shape, names, _name(task)
        rng = np.random.default_rng(0)
        self.one, self.other = ((2 * rng.standard_normal((SAMPLES, *shape))).astype(np.float32) for _ in range(2))

    def call(self, method: str, *args: object) -> Decided:
        return plugins.call_user(getattr(self.task, method), f"{self.path}.{method}", *args)

    def hold(self, method: str, form: Form, *args: object, none: bool = False) -> AnyArray:
        """What a method gives, an array of that form; or, with ``none``, None."""
        value = self.call(method, *args)
        if not form.holds(value) and not (none and value is None):
            _refuse(f"{self.path}.{method}", value, f"{form}{', or None' if none else ''}, for {SAMPLES} samples")
        return value

    def labels(self, labels: AnyArray) -> None:
        """What it makes of labels."""
        wanted = self.task.label_size(self.shape)
        if (size := math.prod(labels.shape[1:])) != wanted and not self.task.pairs:
            _refuse(f"{self.path}.numbered", labels.shape, f"(N, {wanted}) labels: the output has that many numbers")
        together = self.call("together", labels)
        if together is not None and not Form((len(labels),), "iu").holds(together):
            _refuse(f"{self.path}.together", together, f"None, or ({len(labels)},) whole numbers, one a sample")
        if self.task.dense or self.task.pairs or together is not None:
            return
        some = labels[np.arange(SAMPLES) % len(labels)].reshape(SAMPLES, -1)[:, : max(size, 1)]
        some = some if self.task.row_labels else some[:, 0]
        pair = self.call("compared", self.one.reshape(SAMPLES, -1), some)
        if not isinstance(pair, tuple) or [np.shape(part)[:1] for part in pair] != [(SAMPLES,)] * 2:
            _refuse(f"{self.path}.compared", pair, "two arrays: scores and labels, of each sample")

    def decisions(self) -> None:
        """What it says of two nets' scores."""
        one, other = self.one, self.other
        rows = SAMPLES * self.task.places(self.shape)
        self.hold("rows", Form((rows, self.shape[self.task.axis])), one, self.shape)
        self.hold("same", Form((SAMPLES,), "b"), one, other, none=True)
        share = Form((SAMPLES,), low=0.0, high=1.0)
        self.hold("agreement", share, one, other, none=True)
        self.hold("differing", share, one, other, LOOSE)
        self.hold("differs", Form((SAMPLES,), "b"), one, other, LOOSE)
        for method in ("lead", "margin"):
            self.hold(method, Form((SAMPLES,), low=0.0), one)
        self.hold("distance", Form((SAMPLES,), low=-1e-6), one, other)
        if not self.task.pairs:
            answers = self.call("answers", one)
            size = self.task.label_size(self.shape)
            if not isinstance(answers, np.ndarray) or answers.size != SAMPLES * size or len(answers) != SAMPLES:
                _refuse(f"{self.path}.answers", answers, f"({SAMPLES}, {size}) for {SAMPLES} samples, as labels are")
        if not self.task.dense:
            self.hold("judged", Form((SAMPLES, math.prod(self.shape)), "fiub"), one.reshape(SAMPLES, -1))

    def answers(self) -> None:
        """What an app gets, and how it is written down."""
        shares = self.hold("shares", Form((SAMPLES, *self.shape)), self.one)
        if type(self.task).decode_shown is not Task.decode_shown:
            return  # it asks for the sample
        for share in shares:
            decided = self.call("decode", share, self.names)
            if self.task.certainties and "sure" not in _fields(decided):
                _refuse(f"{self.path}.decode", decided, "a dataclass with a field 'sure', as it names certainties")
            for name in _attributes(self.task.prints):
                if not hasattr(decided, name):
                    _refuse(f"{self.path}.prints", self.task.prints, f"what {decided!r} has")
            record = self.call("record", decided)
            place = f"{self.path}.record"
            written = json.loads(plugins.call_user(json.dumps, place, record))
            if not isinstance(written, dict):
                _refuse(place, record, "a table")
            self._numbers(decided, written)

    def _numbers(self, decided: object, record: Record) -> None:
        numbers = self.call("numbers", record)
        plain = isinstance(numbers, list | tuple | np.ndarray) and all(isinstance(n, int | float) for n in numbers)
        if not plain or not np.isfinite(np.asarray(numbers, np.float64)).all():
            _refuse(f"{self.path}.numbers", numbers, "a list of finite numbers")
        for off in plugins.call_user(list, f"{self.path}.off", self.call("off", decided, record, 1.0)):
            if off.distance > 1:
                allowed = "the numbers of a record, nearly the same of what it was written down from"
                _refuse(f"{self.path}.off", tuple(off), allowed)


def _attributes(prints: str) -> list[str]:
    """The attribute of ``answer`` that is printed, where that is all of it."""
    begins = re.match(r"answer\.(\w+)", prints)
    return [begins[1]] if begins else []


def _name(task: Task) -> str | None:
    """``package.module:Class`` of a user's own task, for errors; None of a built-in one."""
    return None if is_built_in(type(task)) else f"{type(task).__module__}:{type(task).__qualname__}"


def _fields(value: object) -> list[str]:
    return [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []


def _refuse(where: str, value: object, allowed: str) -> NoReturn:
    shown = f"an array {value.shape} of {value.dtype}" if isinstance(value, np.ndarray) else value
    raise FactoryError("a task gives something else than is needed", where=where, found=shown, allowed=allowed)
