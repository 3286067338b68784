"""Checks and splits that the sources share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.errors import DataError
from edgekd.learn.data._base import Dataset, Split


def image_ops(
    divide: float, mean: list[float] | None = None, std: list[float] | None = None
) -> tuple[dict[str, Any], ...]:
    """Scale, normalise where asked, and put channels first."""
    ops: list[dict[str, Any]] = [{"op": "scale", "divide": divide}]
    if mean is not None and std is not None:
        ops.append({"op": "normalise", "mean": mean, "std": std})
    return (*ops, {"op": "layout"})


def sound_ops() -> tuple[dict[str, Any], ...]:
    """int16 samples to -1..1."""
    return ({"op": "scale", "divide": 32_768.0},)


def carve(
    y: NDArray[np.int64] | None, count: int, wanted: int, seed: int, groups: NDArray[Any] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(kept, carved): sample numbers, ``wanted`` of them carved off, as evenly over the classes as they come.

    Args:
        y: (count,) labels to stratify by, or None.
        groups: (count,) samples of one group stay on one side; then at most ``wanted`` are carved off, in groups
            that still fit as they come at random (at the least the smallest).
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        names, member = np.unique(groups, return_inverse=True)
        order = rng.permutation(len(names))
        sizes, taken, total = np.bincount(member), [], 0
        for group in order:
            if total + sizes[group] <= wanted:
                taken.append(group)
                total += sizes[group]
        inside = np.isin(member, taken or [int(sizes.argmin())])
        return np.flatnonzero(~inside), np.flatnonzero(inside)
    order = rng.permutation(count)
    if y is not None:
        # Rank of each sample within its class, as a share: cutting at a share takes that share of every class.
        shuffled = y[order]
        by_class = np.argsort(shuffled, kind="stable")
        sizes = np.bincount(shuffled)
        rank = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size])
        order = order[by_class[np.argsort(rank, kind="stable")]]
    carved = np.sort(order[:wanted])
    return np.sort(order[wanted:]), carved


def carved(
    train: Split, share: float, seed: int, name: str, groups: NDArray[Any] | None = None
) -> tuple[Split, Split, NDArray[Any] | None]:
    """What stays of a training split, the split ``name`` that is carved off it, and the groups of what stays.

    Args:
        share: of the samples, below 1; or a count from 1.
        groups: see ``carve``.

    Raises:
        DataError: one of the two would be empty, or groups that don't fit.
    """
    count = len(train)
    wanted = int(share) if share >= 1 else round(share * count)
    if not 1 <= wanted < count:
        raise DataError("leaves an empty split", where=f"data.{name}", found=share, allowed=f"less than {count}")
    if groups is not None and groups.shape != (count,):
        raise DataError(
            "one group for each training sample", where="data.groups", found=groups.shape, allowed=f"({count},)"
        )
    kept, off = carve(train.y, count, wanted, seed, groups)
    if not len(kept):
        raise DataError("leaves an empty split", where="data.groups", found="one group", allowed="at least two")
    rest = None if groups is None else groups[kept]
    return part(train.x, train.y, kept), part(train.x, train.y, off), rest


def check_carving(shares: dict[str, float], limit: int) -> None:
    """Raise ValueError where a source's keys for carving and limiting are out of range."""
    for name, share in shares.items():
        if share <= 0:
            raise ValueError(f"{name}: allowed is a share below 1, or a count from 1")
    if limit < 0:
        raise ValueError("limit: allowed is 0 (all) or more")


def checked(dataset: Dataset, where: str) -> Dataset:
    """Raise DataError where a data set can't be learned from; else give it back."""
    classes = len(dataset.classes)
    least = 1 if dataset.train.y is None else 2  # without labels they may be the outputs of a regression
    if classes < least:
        raise DataError("one class only", where=where, found=list(dataset.classes), allowed=f"at least {least}")
    shape = dataset.train.x.shape[1:]
    for name, split in dataset.splits.items():
        place = f"{where} ({name})"
        if len(split) == 0:
            raise DataError("an empty split", where=place)
        if split.x.shape[1:] != shape:
            raise DataError(
                "samples of another shape than in train", where=place, found=split.x.shape[1:], allowed=str(shape)
            )
        if split.x.dtype.kind == "f" and not np.isfinite(split.x).all():
            bad = int(np.flatnonzero(~np.isfinite(split.x.reshape(len(split), -1)).all(1))[0])
            raise DataError("NaN or infinity in the data", where=place, found=f"sample {bad}")
        if split.y is not None:
            check_labels(split.x, split.y, classes, place)
    labelled = {name: split.y is not None for name, split in dataset.splits.items()}
    if len(set(labelled.values())) > 1:
        raise DataError("labels in every split or in none", where=where, found=labelled)
    y = dataset.train.y
    if y is not None and len(present := np.unique(y)) < 2:
        raise DataError(
            "one class only", where=f"{where} (train)", found=int(present[0]), allowed="at least two classes"
        )
    return dataset


def check_labels(x: NDArray[Any], y: NDArray[Any], classes: int, where: str) -> None:
    """Raise DataError where labels don't fit: count, type, range."""
    if y.ndim != 1 or len(y) != len(x):
        raise DataError("as many labels as samples are needed", where=where, found=y.shape, allowed=f"({len(x)},)")
    if y.dtype.kind not in "iu":
        raise DataError("labels are whole numbers", where=where, found=str(y.dtype), allowed="an integer dtype")
    if len(y) and (y.min() < 0 or y.max() >= classes):
        bad = int(np.flatnonzero((y < 0) | (y >= classes))[0])
        raise DataError(
            "a label out of range", where=where, found=f"{int(y[bad])} at sample {bad}", allowed=f"0 to {classes - 1}"
        )


def images(x: NDArray[Any], where: str) -> NDArray[Any]:
    """(N, H, W) or (N, H, W, C) as (N, H, W, C)."""
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[-1] not in (1, 3, 4):
        raise DataError(
            "not images", where=where, found=x.shape, allowed="(N, H, W), or (N, H, W, C) with 1, 3 or 4 channels"
        )
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise DataError("not images", where=where, found=str(x.dtype), allowed="uint8 or a float dtype")
    return x if x.dtype == np.uint8 else x.astype(np.float32)


def part(x: NDArray[Any], y: NDArray[np.int64] | None, index: NDArray[np.int64]) -> Split:
    """The samples of some numbers."""
    return Split(x[index], None if y is None else y[index])
