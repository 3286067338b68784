"""Tags of the BIO scheme as numbers: 0 is O, 2 k + 1 is B-, 2 k + 2 is I- of the k-th kind of span."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.tasks._base import IGNORED
from edgekd.tasks._classes import LISTED, At, Numbered, alike_names

OUTSIDE = "O"
Numbers = NDArray[np.int64]
SCHEME = "O, B-<kind> or I-<kind>"


def of_texts(
    lists: Mapping[str, Sequence[Sequence[str]]], names: tuple[str, ...] | None, at: At, where: str
) -> Numbered:
    """Names in their order, and rows of numbers as long as the longest, ``IGNORED`` behind a sample's last word.

    Raises:
        DataError: see ``tagging.Tagging.numbered``.
    """
    given = names is not None
    every = {tag for row in lists["train"] for tag in row} if names is None else names
    ordered = order(every, where if given else None, lambda tag: _place(lists, tag, at))
    limits.check("classes", len(ordered), "more tags than likely are meant", where)
    places = {tag: i for i, tag in enumerate(ordered)}
    longest = max((len(row) for rows in lists.values() for row in rows), default=0)
    labels = {}
    for split, rows in lists.items():
        numbers = labels[split] = np.full((len(rows), longest), IGNORED, np.int64)
        for i, row in enumerate(rows):
            odd = next((tag for tag in row if tag not in places), None)
            if odd is not None:
                what = "a tag that nobody named" if given else "a tag that no training sample has"
                raise DataError(what, where=at(split, i), found=odd, allowed=ordered)
            numbers[i, : len(row)] = [places[tag] for tag in row]
        _check_begun(numbers, ordered, split, at)
    notes = _notes(ordered, every if given else sorted(every, key=ordered.index))
    return Numbered(ordered, labels, notes if given else (*notes, *alike_names(ordered)))


def of_numbers(labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
    """The same of (N, T) numbers that count the names as they are given.

    Raises:
        DataError: no names, or a number that is none of them.
    """
    if names is None:
        raise DataError("tags that are numbers need names", where=where, found="none", allowed=SCHEME)
    ordered = order(names, where, lambda tag: where)
    table = np.array([ordered.index(name) for name in names], np.int64)
    rows = {}
    for split, numbers in labels.items():
        wrong = (numbers >= len(names)) | ((numbers < -1) & (numbers != IGNORED))
        if wrong.any():
            bad = int(np.flatnonzero(wrong.any(axis=1))[0])
            number = int(numbers[bad][wrong[bad]][0])
            allowed = f"0 to {len(names) - 1}, -1 where not known, {IGNORED} where no word begins"
            raise DataError("no number of a tag", where=at(split, bad), found=number, allowed=allowed)
        rows[split] = np.where(numbers >= 0, table[np.maximum(numbers, 0)], numbers).astype(np.int64)
        _check_begun(rows[split], ordered, split, at)
    return Numbered(ordered, rows, _notes(ordered, names))


def order(tags: Iterable[str], where: str | None, place: Callable[[str], str]) -> tuple[str, ...]:
    """O, then B- and I- of every kind: as they are given, or sorted where nobody gave them.

    Args:
        where: of given names; None: they are of labels, whose ``place`` a tag tells.

    Raises:
        DataError: what is no tag of the scheme, or no span at all.
    """
    kinds: dict[str, None] = {}
    for tag in tags if where is not None else sorted(tags):
        if tag == OUTSIDE:
            continue
        if tag[:2] not in ("B-", "I-") or len(tag) < 3:
            at = place(tag) if where is None else where
            raise DataError("no tag of the BIO scheme", where=at, found=tag, allowed=SCHEME)
        kinds[tag[2:]] = None
    if not kinds:
        raise DataError("tags without a span", where=where or "data", found=OUTSIDE, allowed=SCHEME)
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI"))


def _notes(ordered: tuple[str, ...], names: Iterable[str]) -> tuple[str, ...]:
    """What the user is to know where the tags are not as they were given: networks count them as ``ordered`` does."""
    given = list(dict.fromkeys(names))
    if tuple(given) == ordered:
        return ()
    added = [tag for tag in ordered if tag not in given]
    moved = [tag for tag in ordered if tag in given] != given
    why = [f"{', '.join(added)} added, as tags are O, and B- and I- of every kind of span"] if added else []
    why += ["not in the order that was given"] if moved else []
    shown = ", ".join(ordered[:LISTED]) + (f" and {len(ordered) - LISTED} more" if len(ordered) > LISTED else "")
    return (f"networks answer for {len(ordered)} tags, {shown}: {'; '.join(why)}",)


def edges(tags: Numbers, begins: NDArray[np.bool_] | None = None) -> tuple[Numbers, Numbers]:
    """Of (M,) tags the first word of each span, and the word behind its last.

    As conlleval counts (Tjong Kim Sang and Buchholz 2000): an I- that continues nothing begins a span.

    Args:
        begins: (M,) where a sample begins; None: they are of one.
    """
    if not len(tags):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    kind = (tags + 1) // 2
    fresh = np.ones(len(tags), bool)
    fresh[1:] = (kind[1:] != kind[:-1]) | (tags[1:] % 2 == 1)
    if begins is not None:
        fresh |= begins
    inside = kind > 0
    last = inside & np.append(fresh[1:], True)
    return np.flatnonzero(inside & fresh), np.flatnonzero(last) + 1


def _check_begun(rows: Numbers, names: Sequence[str], split: str, at: At) -> None:
    """Every I- has a B- or an I- of its kind before it, whatever is ignored between."""
    for i, row in enumerate(rows):
        tags = row[row != IGNORED]
        if not len(tags):
            continue
        kinds = (tags + 1) // 2
        before = np.append(0, kinds[:-1])
        before[1:][tags[:-1] == -1] = kinds[1:][tags[:-1] == -1]  # nobody knows what stood there
        alone = (tags > 0) & (tags % 2 == 0) & (before != kinds)
        if alone.any():
            word = int(np.flatnonzero(alone)[0])
            name, place = names[tags[word]], f"{at(split, i)}, word {word}"
            raise DataError("an I- that continues nothing", where=place, found=name, allowed=f"B-{name[2:]} first")


def _place(lists: Mapping[str, Sequence[Sequence[str]]], tag: str, at: At) -> str:
    """The first sample with a tag."""
    return next(at(split, i) for split, rows in lists.items() for i, row in enumerate(rows) if tag in row)
