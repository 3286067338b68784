"""Which of the data's classes a recorded answer means: by name, or by the number of a column."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.learn.data import same_name
from edgekd.teachers._base import first
from edgekd.teachers._columns import Column, Columns

SKIPS = 'teacher.model.unknown = "skip" takes such labels for no answer'


class Naming(NamedTuple):
    """The number of the class that each column is of, by its name; and what the user is to know of how it was told."""

    columns: dict[str, int]
    note: str = ""


@dataclass
class Classes:
    """Our classes, as a teacher of elsewhere may call them.

    Attributes:
        names: ours, in order.
        columns: for each the teacher's column, where the recipe says it.
        unknown: what a label that is no class is.
        skipped: how often there was one, by what it was.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...] | None = None
    unknown: Literal["error", "skip"] = "error"
    skipped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = {same_name(name): i for i, name in enumerate(self.names)}
        self._folded = [_folded(name) for name in self.names]
        self._as_written: dict[str, int] = {}  # names that were asked for
        self._counts = not any(name.isascii() and name.isdigit() for name in self._numbers)

    def index(self, name: object) -> int | None:
        """The number of a class by its name; None: there is none of it."""
        text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
        number = self._as_written.get(text)
        if number is None and (number := self._numbers.get(same_name(text))) is not None:
            self._as_written[text] = number
        return number

    def is_in(self, name: str) -> bool:
        """Whether a column's name holds that of a class, in whatever case: it may be that class's."""
        text = _folded(name)
        return self.index(name) is not None or any(one in text for one in self._folded)

    def of_columns(self, names: Sequence[str]) -> Naming:
        """Which class each of some columns is of: by its name; where none is, by what stands before or behind the names
        of all classes (``prob_cat``, ``prob_dog``), in whatever case.
        """
        exact = {name: number for name in names if (number := self.index(name)) is not None}
        columns = {_folded(name): name for name in names}
        if exact or not self._folded or len({*self._folded}) < len(self.names):
            return Naming(exact)
        longest = max(self._folded, key=len)
        affixes = {(name[:at], name[at + len(longest) :]) for name in columns for at in _places(longest, name)}
        fits = [one for one in affixes if all(one[0] + text + one[1] in columns for text in self._folded)]
        if len(fits) != 1:
            return Naming({})
        before, behind = fits[0]
        known = {columns[before + text + behind]: i for i, text in enumerate(self._folded)}
        return Naming(known, f"{next(iter(known))!r} is read as class {self.names[0]!r}, and the others likewise")

    def number(self, label: object) -> int | None:
        """The number of a label: by name; a whole number where no class is called by one, too."""
        if (known := self.index(label)) is not None:
            return known
        if not self._counts or isinstance(label, bool) or not isinstance(label, int | np.integer | str):
            return None
        text = str(label).strip()
        whole = text.isascii() and text.isdigit() and len(text) < 10
        return int(text) if whole and int(text) < len(self.names) else None

    def indices(self, labels: Sequence[object], place: str) -> dict[int, int]:
        """The numbers of some labels of one sample, and which of the labels each is; in their order.

        Raises:
            DataError: labels that are no class, unless these are passed over; or one twice.
        """
        numbers = [self.number(label) for label in labels]
        odd = [label for label, number in zip(labels, numbers, strict=True) if number is None]
        if odd and self.unknown == "error":
            allowed, hint = first(self.names), SKIPS
            raise DataError("no class of the data", where=place, found=first(odd), allowed=allowed, hint=hint)
        for label in map(str, odd):
            self.skipped[label] = self.skipped.get(label, 0) + 1
        places = {number: i for i, number in enumerate(numbers) if number is not None}
        if len(places) + len(odd) < len(numbers):
            raise DataError("a class twice", where=place, found=first(labels))
        return places

    def order(self, count: int, names: Column | None, place: str) -> NDArray[np.int64]:
        """(C,) which of ``count`` columns is each of our classes'.

        Args:
            names: what the columns are called; None: they stand in our order, or as the recipe's ``classes`` says.

        Raises:
            DataError: another number of columns, or other names.
        """
        if names is not None:
            return self._named(count, names, place)
        if self.columns is not None:
            if max(self.columns) >= count:
                allowed = f"0..{count - 1}, its columns"
                raise DataError("no such column", where=f"{place}: classes", found=max(self.columns), allowed=allowed)
            return np.array(self.columns)
        if count != len(self.names):
            hint = "teacher.classes says for each class its column"
            allowed = f"{len(self.names)}: {first(self.names)}"
            raise DataError("another number of classes", where=place, found=count, allowed=allowed, hint=hint)
        return np.arange(count)

    def _named(self, count: int, names: Column, place: str) -> NDArray[np.int64]:
        known = {self.index(name): i for i, name in enumerate(names)}
        if len(names) != count:
            raise DataError(
                "another number of names than of columns", where=place, found=len(names), allowed=str(count)
            )
        if odd := [name for name in names if self.index(name) is None]:
            raise DataError("no class of the data", where=place, found=first(odd), allowed=first(self.names))
        if absent := [name for i, name in enumerate(self.names) if i not in known]:
            raise DataError("no column of a class", where=place, found=first(absent), allowed=first(names))
        return np.array([known[i] for i in range(len(self.names))])

    def labelled(self, columns: Columns, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(M,) the rows and (M,) the classes of the labels in a column, or in its lists of labels.

        Raises:
            DataError: labels that are no class; names the first five.
        """
        values = columns.values[name]
        rows, classes, odd = array("q"), array("q"), dict[str, str]()
        for i, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
            several = value if isinstance(value, list | tuple) else [value]
            for label in several:
                if _is_no_label(label):
                    continue
                number = self.number(label)
                if number is not None:
                    rows.append(i)
                    classes.append(number)
                elif self.unknown == "skip":
                    self.skipped[str(label)] = self.skipped.get(str(label), 0) + 1
                else:
                    odd.setdefault(str(label), columns.place(i))
        if odd:
            where = next(iter(odd.values()))
            allowed = first(self.names)
            raise DataError("labels that are no class", where=where, found=first(odd), allowed=allowed, hint=SKIPS)
        return np.array(rows, np.int64), np.array(classes, np.int64)


def _is_no_label(label: object) -> bool:
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return int(label) < 0
    return label is None or label == "" or (isinstance(label, float) and label != label)


def _folded(name: str) -> str:
    return same_name(name).casefold()


def _places(text: str, name: str) -> list[int]:
    """Where a text stands in a name."""
    return [at for at in range(len(name) - len(text) + 1) if name.startswith(text, at)]
