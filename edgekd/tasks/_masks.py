"""What tasks that answer at every pixel share: masks as labels, maps as decisions, many numbers in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, RecipeError
from edgekd.tasks._base import Floats, Off, Record
from edgekd.tasks._classes import At

UNCLEAR = -1  # what a pixel is written down as that another machine may decide otherwise
MOVED = 0.005  # the share of the clear pixels that may be decided otherwise on another machine
MOST = 2**16  # numbers that a file of a mask may hold
FEW = 32  # classes of which masks may lack most
SHOWN = 16  # of them that an error lists
NUMBERS = 2**22  # scores that are looked at together in float64: 32 MiB

Distance = Callable[[AnyArray, AnyArray], Floats]


def shape(names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
    """(names, H, W) of masks (H, W).

    Raises:
        RecipeError: labels that are no masks, or none.
    """
    if len(labels) != 2:
        what, allowed = "maps are as large as their masks, and there are none", "masks (N, H, W)"
        raise RecipeError(what, where="data", found=labels or "no labels", allowed=allowed)
    return (names, *labels)


def numbers_of(labels: Mapping[str, AnyArray]) -> list[int]:
    """Which of the numbers that files may hold, 0 to 65535, some pixel is."""
    counts = np.zeros(MOST, np.int64)
    for masks in labels.values():
        flat = masks.reshape(-1)
        counts += np.bincount(flat[(flat >= 0) & (flat < MOST)], minlength=MOST)
    return np.flatnonzero(counts).tolist()


def check_gaps(numbers: Sequence[int], where: str) -> tuple[str, ...]:
    """A note where most numbers up to the largest one, each of which is a class, stand nowhere.

    Raises:
        DataError: and they are many, so that they are hardly classes that a few masks lack.
    """
    total = max(numbers, default=0) + 1
    if 2 * len(numbers) >= total:
        return ()
    listed = ", ".join(map(str, numbers[:SHOWN])) + (", ..." if len(numbers) > SHOWN else "")
    usage = f"{len(numbers)} of {total:,} numbers: {listed}"
    hint = f"data.values = [{listed}] says which there are in files; data.classes names all of them"
    if total <= FEW:
        return (f"masks hold {usage}; the others are classes without a pixel: {hint}",)
    allowed = "0, 1, 2, ... of the classes"
    raise DataError("masks whose numbers have gaps", where=where, found=usage, allowed=allowed, hint=hint)


def check(labels: Mapping[str, AnyArray], at: At) -> None:
    """Raise DataError where the labels of a split are no masks, or of another size than those of train."""
    size = labels["train"].shape[1:]
    for split, masks in labels.items():
        if masks.ndim != 3 or masks.dtype.kind not in "iub":
            given, allowed = f"{masks.dtype} {masks.shape}", "whole numbers (N, H, W), one a pixel"
            raise DataError("labels are masks", where=at(split, 0), found=given, allowed=allowed)
        if masks.shape[1:] != size:
            what, allowed = "masks of another size than in train", f"{size}, as in train"
            raise DataError(what, where=at(split, 0), found=masks.shape[1:], allowed=allowed)


def check_numbers(
    numbers: NDArray[np.int64], wrong: NDArray[np.bool_], split: str, at: At, allowed: str, hint: str | None = None
) -> None:
    """Raise DataError where a pixel's number is ``wrong``, both (N, H, W); names the first one."""
    if wrong.any():
        sample, y, x = (int(place[0]) for place in np.nonzero(wrong))
        pixel = f"{int(numbers[sample, y, x])} at x {x}, y {y}"
        raise DataError("a label that is no class", where=at(split, sample), found=pixel, allowed=allowed, hint=hint)


def runs(numbers: NDArray[np.int64]) -> list[list[int]]:
    """A map as it is written down: runs of (number, count), row after row."""
    flat = numbers.reshape(-1)
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
    counts = np.diff(starts, append=len(flat))
    written: list[list[int]] = np.stack([flat[starts], counts], axis=1).tolist()
    return written


def moved(numbers: NDArray[np.int64], record: Record, what: str) -> Iterator[Off]:
    """How far a map is from the ``runs`` of a record: the share of its clear pixels that have another number now.

    A map of another size is as far off as can be.

    Args:
        numbers: (H, W).
        what: a pixel's number is called.
    """
    size, count = numbers.size, sum(int(count) for _, count in record["runs"])
    if count != size:  # a stranger's may be of any number, and is not unfolded
        yield Off("pixels", float(size), float(count), np.inf)
        return
    written = np.asarray(record["runs"], np.int64)
    before = np.repeat(written[:, 0], written[:, 1])
    clear = before != UNCLEAR
    others = (before != numbers.reshape(-1)) & clear
    share = float(others.sum() / max(1, int(clear.sum())))
    yield Off(f"share of clear pixels of another {what}", share, 0.0, share / MOVED)


def in_parts(distance: Distance, one: AnyArray, other: AnyArray) -> Floats:
    """(N,) distances of (N, ...) scores, some samples at a time: in float64 a split of maps takes gigabytes."""
    step = max(1, NUMBERS // max(1, one[:1].size))
    parts = (slice(start, start + step) for start in range(0, len(one), step))
    return np.concatenate([distance(one[part], other[part]) for part in parts])
