"""Splits that the sources share: what they are called, and how one is carved off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekd.base import units
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data._base import Pipeline, Samples, Split

# What folders and files of a split are called, in whatever case.
CALLED = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
ROLES = {name: role for role, names in CALLED.items() for name in names}
Groups = str | tuple[str, ...]


class OfSplits(str):
    """A note on which samples a data set's splits hold: where heads carve otherwise, those of one are what is used."""


def image_ops(divide: float, mean: list[float] | None = None, std: list[float] | None = None) -> Pipeline:
    """Scale, normalise where asked, and put channels first."""
    ops: list[dict[str, object]] = [{"op": "scale", "divide": divide}]
    if mean is not None and std is not None:
        ops.append({"op": "normalise", "mean": mean, "std": std})
    return (*ops, {"op": "layout"})


def sound_ops() -> Pipeline:
    """int16 samples to -1..1."""
    return ({"op": "scale", "divide": 32_768.0},)


def carve(
    y: AnyArray | None, count: int, wanted: int, seed: int, groups: AnyArray | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(kept, carved): sample numbers, ``wanted`` of them carved off, as evenly over the classes as they come.

    Args:
        y: (count,) labels to stratify by; where they are rows, or None, it is drawn at random.
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
    if y is not None and y.ndim == 1:
        # Rank of each sample within its class, as a share: cutting at a share takes that share of every class.
        shuffled = y[order]
        by_class = np.argsort(shuffled, kind="stable")
        sizes = np.bincount(shuffled)
        rank = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size])
        order = order[by_class[np.argsort(rank, kind="stable")]]
    carved = np.sort(order[:wanted])
    return np.sort(order[wanted:]), carved


def carved(train: Split, share: float, seed: int, name: str) -> tuple[Split, Split]:
    """What stays of a training split, and the split ``name`` that is carved off it, in whole groups where it has some.

    Args:
        share: of the samples, below 1; or a count from 1.

    Raises:
        DataError: one of the two would be empty.
    """
    count = len(train)
    wanted = int(share) if share >= 1 else round(share * count)
    if not 1 <= wanted < count:
        raise DataError("leaves an empty split", where=f"data.{name}", found=share, allowed=f"less than {count}")
    kept, off = carve(train.y, count, wanted, seed, train.group)
    if not len(kept):
        raise DataError("leaves an empty split", where="data.groups", found="one group", allowed="at least two")
    return train.some(kept), train.some(off)


def carve_missing(
    splits: Mapping[str, Split],
    shares: Mapping[str, float],
    seed: int,
    groups: AnyArray | None = None,
    by: str = "",
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """All three splits, test and validation carved off train where there is none; and a note on each that was.

    Args:
        shares: of each that may be carved.
        groups: of the training samples, see ``carve``; ``by``: what makes them, for the note.

    Raises:
        DataError: groups that don't fit.
    """
    all_splits, notes = dict(splits), []
    if groups is not None:
        if groups.shape != (count := len(splits["train"]),):
            what, allowed = "one group for each training sample", f"({count},)"
            raise DataError(what, where="data.groups", found=groups.shape, allowed=allowed)
        all_splits["train"] = replace(splits["train"], group=np.unique(groups, return_inverse=True)[1])
    for name in (name for name in ("test", "validation") if name in shares and name not in all_splits):
        count = len(all_splits["train"])
        all_splits["train"], all_splits[name] = carved(all_splits["train"], shares[name], seed, name)
        how = f"in whole groups of {by}" if groups is not None else "evenly over the classes"
        y = all_splits["train"].y
        if groups is None and (y is None or y.ndim > 1):
            how = "at random"
        of = f"{len(all_splits[name]):,} of {count:,} training samples ({units.share(len(all_splits[name]) / count)})"
        notes.append(OfSplits(f"the data has no {name} split: {of} were carved off, {how} (split_seed {seed})"))
    return all_splits, tuple(notes)


def joined(groups: Sequence[AnyArray], count: int, where: str) -> AnyArray | None:
    """(count,) one group a sample: what has any of several groups in common stays together; None of no groups.

    Raises:
        DataError: an array that does not name one group a sample.
    """
    if wrong := [group for group in groups if group.shape != (count,)]:
        raise DataError("one group for each sample", where=where, found=wrong[0].shape, allowed=f"({count},)")
    if len(groups) < 2:
        return groups[0] if groups else None
    together = [np.unique(group, return_inverse=True)[1] for group in groups]
    member, before = np.arange(count), None
    while before is None or not np.array_equal(member, before):  # each takes the lowest number of its groups
        before = member
        for of in together:
            least = np.full(int(of.max(initial=-1)) + 1, count)
            np.minimum.at(least, of, member)
            member = least[of]
    return member


def listed(groups: Groups) -> tuple[str, ...]:
    """The names in a source's ``groups``: none, one or several."""
    return tuple(filter(None, (groups,) if isinstance(groups, str) else groups))


def check_carving(shares: dict[str, float], limit: int, seed: int) -> None:
    """Raise ValueError where a source's keys for carving and limiting are out of range."""
    for name, share in shares.items():
        if not 0 < share < float("inf"):
            raise ValueError(f"{name}: allowed is a share below 1, or a count from 1")
    if limit < 0:
        raise ValueError("limit: allowed is 0 (all) or more")
    check_seed("split_seed", seed)


def check_seed(name: str, seed: int) -> None:
    """Raise ValueError where numpy takes no such seed."""
    if seed < 0:
        raise ValueError(f"{name}: allowed is 0 or more")


def images(x: AnyArray, where: str) -> AnyArray:
    """(N, H, W) or (N, H, W, C) as (N, H, W, C)."""
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[-1] not in (1, 3, 4):
        allowed = "(N, H, W), or (N, H, W, C) with 1, 3 or 4 channels"
        hint = "numpy.moveaxis(x, 1, -1) puts channels last" if x.ndim == 4 and x.shape[1] in (1, 3, 4) else None
        raise DataError("not images", where=where, found=x.shape, allowed=allowed, hint=hint)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        held = f"{x.dtype} {x.min()} to {x.max()}" if x.size and x.dtype.kind in "iu" else str(x.dtype)
        is_byte = x.size and x.dtype.kind in "iu" and x.min() >= 0 and x.max() <= 255
        hint = 'x.astype("uint8") is the same pictures' if is_byte else None
        raise DataError("not images", where=where, found=held, allowed="uint8 or a float dtype", hint=hint)
    return x if x.dtype == np.uint8 else x.astype(np.float32)


def numbers(x: AnyArray, where: str) -> AnyArray:
    """(N, ...) numbers as float32.

    Raises:
        DataError: no numbers, or no sample holds any.
    """
    if x.ndim < 2 or x.dtype.kind not in "biuf":
        raise DataError(
            "not rows of numbers", where=where, found=f"{x.dtype} {x.shape}", allowed="numbers, (N, ..., K)"
        )
    return x.astype(np.float32)


def standard_ops(x: Samples) -> Pipeline:
    """Each of the last axis's numbers less its mean, by its standard deviation; one that never varies less its mean."""
    rows = np.asarray(x).reshape(-1, x.shape[-1]).astype(np.float64)
    std = rows.std(axis=0)
    return ({"op": "normalise", "mean": rows.mean(axis=0).tolist(), "std": np.where(std > 0, std, 1.0).tolist()},)
