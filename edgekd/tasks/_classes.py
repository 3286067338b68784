"""Which class a label means: one rule for every source.

Names are texts. A label that is a name is that class, even where the name is a number; whole numbers count the names
from 0 only where no label is one. Without names, labels that are whole numbers are all of 0, 1, 2, ... or of 1, 2,
3, ..., and others are the names that the training split has, sorted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError

LISTED = 100  # names that an error lists
NAME_THEM = "labels that are ids are right once their names are given, each as it stands in the labels"
VALUES = 'task = "regression" where labels are values'
PAIRS = 4  # of names that a note lists
LARGEST = 2**53  # up to which floats hold every whole number
At = Callable[[str, int], str]


class Numbered(NamedTuple):
    """Class names, for each split (N,) int64 into them, and what the user is to know."""

    names: tuple[str, ...]
    labels: dict[str, NDArray[np.int64]]
    notes: tuple[str, ...] = ()


def same_name(name: str) -> str:
    """What two spellings of one name have in common: Unicode writes an accent in two ways, and spaces aren't seen."""
    return unicodedata.normalize("NFC", name).strip()


def named(given: Any, where: str) -> tuple[str, ...]:
    """Class names from a list or an array of texts, UTF-8 bytes or whole numbers.

    Raises:
        DataError: not a row of names, an empty name, a name twice (spaces around it and Unicode's two ways of an
            accent make no other name), or bytes that are no UTF-8.
    """
    array = np.asarray(given) if hasattr(given, "__array__") else None
    if array is not None and array.ndim == 1:
        limits.check("names", len(array), "more names than likely are meant", where)
    values = given if array is None else array.tolist()
    flat = isinstance(values, Sequence) and not isinstance(values, str | bytes) and (array is None or array.ndim == 1)
    if not flat:
        allowed = "a list of names, the first of class 0"
        raise DataError("class names are a row of names", where=where, found=values, allowed=allowed)
    names = tuple(_text(value, f"{where}[{i}]") for i, value in enumerate(values))
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        if not same_name(name):
            raise DataError("a class without a name", where=f"{where}[{i}]", found=name)
        if (before := first.setdefault(same_name(name), i)) != i:
            raise DataError(
                "a name of two classes", where=where, found=name, allowed=f"each once, and this is {before} and {i}"
            )
    return names


def unlabelled(names: tuple[str, ...] | None, where: str, hint: str | None = None) -> Numbered:
    """The classes of data without labels, which have to be named by the key ``where``.

    Raises:
        DataError: they are not.
    """
    if names is None:
        raise DataError("without labels the class names are needed", where=where, hint=hint)
    return Numbered(names, {})


def numbered(labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
    """The number of each label's class.

    Args:
        labels: of each split, (N,) whole numbers or texts; ``train`` is one of them.
        names: of the classes; None: by the labels themselves.
        at: names the place of a split's sample, for errors.
        where: names the data.

    Raises:
        DataError: labels that are neither, a label that is no class, numbers with gaps, or more classes that
            nobody named than ``limits.MOST`` has.
    """
    labels, read_as = _as_whole(labels, names)
    spelled = {split: _spelled(y, names, split, at) for split, y in labels.items()}
    every = dict.fromkeys(label for texts, _ in spelled.values() for label in texts)
    counts = all(_is_number(label) for label in every)
    given = names is not None
    if names is None:
        names = _counted(every, spelled, at) if counts else spelled["train"][0]
        limits.check("classes", len(names), "more classes than likely are meant", where)
        names = named(names, where)
    if len(names) < 2:
        raise DataError("one class only", where=where, found=list(names), allowed="at least 2")
    numbers = {same_name(name): i for i, name in enumerate(names)}
    by_name = any(same_name(label) in numbers for label in every)
    if counts and not by_name:
        numbers = {str(i): i for i in range(len(names))}
    for split, (texts, member) in spelled.items():
        if unknown := [i for i, label in enumerate(texts) if same_name(label) not in numbers]:
            _refuse(texts[unknown[0]], at(split, int(np.flatnonzero(member == unknown[0])[0])), names, numbers)
    split_labels = {
        split: np.array([numbers[same_name(label)] for label in texts], np.int64)[member]
        for split, (texts, member) in spelled.items()
    }
    moved = next((label for label in every if counts and by_name and str(numbers[label]) != label), None)
    if not given or moved is None or not {*every} <= {*map(str, range(len(names)))}:
        return Numbered(names, split_labels, (*read_as, *(() if given else alike_names(names))))
    note = f"labels are class names: {moved} is the class named {moved!r}, which is number {numbers[moved]}"
    return Numbered(names, split_labels, (*read_as, note))


def alike_names(names: Sequence[str]) -> tuple[str, ...]:
    """A note on names that nobody gave and that differ in case or in blanks alone, as ``Pos`` and ``pos`` do."""
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault("".join(name.split()).casefold(), []).append(name)
    groups = [of for of in spellings.values() if len(of) > 1]
    if not groups or all(len(name) == 1 for of in groups for name in of):  # letters
        return ()
    listed = "; ".join(" and ".join(map(repr, of)) for of in groups[:PAIRS]) + ("; ..." if len(groups) > PAIRS else "")
    return (f"names that differ in case or blanks alone are different ones: {listed}",)


def is_value(label: str) -> bool:
    """Whether a label is a number with a fraction, as values have one and classes seldom."""
    whole, point, part = label.lstrip("+-").partition(".")
    return bool(point) and part.isdecimal() and (whole.isdecimal() or not whole) and int(part) > 0


def _as_whole(
    labels: Mapping[str, AnyArray], names: tuple[str, ...] | None
) -> tuple[dict[str, AnyArray], tuple[str, ...]]:
    """Truth values, and floats that all are whole numbers, as these; and a note where there were some.

    Truth values are numbers where the classes are named, and none is named True or False; else they are names.
    """
    kinds = {y.dtype.kind for y in labels.values()}
    if kinds == {"b"}:
        if names is None or {*names} & {"True", "False"}:
            return {split: y.astype(np.str_) for split, y in labels.items()}, ()
        note = f"labels are truth values: False is {names[0]!r}, and True {names[min(1, len(names) - 1)]!r}"
        return {split: y.astype(np.int64) for split, y in labels.items()}, (note,)
    if "f" in kinds and kinds <= {*"iuf"} and all(_is_whole(y) for y in labels.values()):
        note = "labels are floats, and all of them whole numbers: each is a class"
        return {split: y.astype(np.int64) for split, y in labels.items()}, (note,)
    return dict(labels), ()


def _is_whole(y: AnyArray) -> bool:
    return y.dtype.kind != "f" or bool(((np.abs(y) < LARGEST) & (y == np.rint(y))).all())


def _refuse(label: str, where: str, names: tuple[str, ...], numbers: Mapping[str, int]) -> None:
    hint = VALUES if is_value(label) else None
    if label == str(len(names)) and "0" in numbers:
        hint = "labels that count from 1 are right where the classes are named after them, or without names"
    allowed = names if len(names) <= LISTED else f"the {len(names):,} class names"
    if names and same_name(names[0]) not in numbers:
        allowed = f"0 to {len(names) - 1}, or the name of a class"
    raise DataError("a label that is no class", where=where, found=label, allowed=allowed, hint=hint)


def _spelled(
    y: AnyArray, names: tuple[str, ...] | None, split: str, at: At
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """The different labels as texts, and for each sample which of them it has."""
    allowed = "whole numbers, or names"
    if y.dtype.kind not in "iuUSO":
        dtype, hint = str(y.dtype), None
        if y.dtype.kind == "f":
            hint = "samples without a label are to be left out" if np.isnan(y).any() else VALUES
        raise DataError(
            "labels are whole numbers or names", where=at(split, 0), found=dtype, allowed=allowed, hint=hint
        )
    known = {same_name(name) for name in names or ()}
    below = np.flatnonzero(y < 0) if y.dtype.kind == "i" else np.array([], np.int64)
    if len(below) and str(y[below[0]]) not in known:
        bad, hint = int(below[0]), "samples without a label are to be left out"
        raise DataError("a label below 0", where=at(split, bad), found=int(y[bad]), allowed="0 up", hint=hint)
    if y.dtype.kind == "O":
        odd = next((i for i, label in enumerate(y.tolist()) if not isinstance(label, str)), None)
        if odd is not None:
            raise DataError("labels are whole numbers or names", where=at(split, odd), found=y[odd], allowed=allowed)
    values, first, member = np.unique(y, return_index=True, return_inverse=True)
    texts = zip(values.tolist(), first.tolist(), strict=True)
    return tuple(_text(value, at(split, i)) for value, i in texts), member.reshape(-1)


def _text(value: object, where: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as err:
            raise DataError("a name that is not UTF-8", where=where, found=value) from err
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise DataError("a name that is no text", where=where, found=value, allowed="a text")
    if any(0xD800 <= ord(char) < 0xE000 for char in value):  # how a file system's other bytes are told
        raise DataError("a name that is not UTF-8", where=where, found=value.encode(errors="surrogateescape"))
    return value


def _is_number(label: str) -> bool:
    """Whether a label is a whole number as it is usually written: 07 is a name."""
    return label.isascii() and label.isdigit() and (label == "0" or label[0] != "0")


def _counted(every: Iterable[str], spelled: Mapping[str, Any], at: At) -> tuple[str, ...]:
    """The names of classes that are numbers alone: all from 0, or all from 1."""
    ordered = sorted(every, key=lambda label: (len(label), label))  # Python reads no number of 5,000 digits
    start = 0 if "0" in ordered else 1
    gap = next((i for i, label in enumerate(ordered) if label != str(i + start)), None)
    if gap is None:
        return tuple(ordered)
    label = ordered[gap]
    split, texts, member = next((s, f, m) for s, (f, m) in spelled.items() if label in f)
    place = at(split, int(np.flatnonzero(member == texts.index(label))[0]))
    message, allowed = f"labels that leave out {gap + start}", "all of 0, 1, 2, ..., or of 1, 2, 3, ..."
    hint = f"no sample is of that class; {NAME_THEM}"
    raise DataError(message, where=place, found=label, allowed=allowed, hint=hint)


def check_ids(ids: NDArray[np.int64], where: str) -> None:
    """Raise DataError where numbers from 0 are ids of something: many, and most below the highest are unused."""
    count = int(ids.max(initial=-1)) + 1
    if count > limits.most("classes") and (used := len(np.unique(ids))) < count // 2:
        usage, allowed = f"{used:,} different ones up to {count - 1:,}", "numbers from 0 without large gaps"
        raise DataError("ids, not numbers from 0", where=where, found=usage, allowed=allowed)
