"""Masks in folders of their own beside the pictures', a file a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import units
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _folders, _left_masks
from edgekd.learn.data._base import Split
from edgekd.learn.data._folders import Carving, Seen
from edgekd.learn.data._left_masks import LeftMasks
from edgekd.learn.data._masks import Fitting, Pair, names_of
from edgekd.learn.data._split import CALLED, ROLES
from edgekd.tasks import LISTED, At, Numbered, Task, named, same_name

USUAL = ("masks", "mask", "labels", "annotations", "ground_truth", "segmentation", "gt")  # folders of them
SHOWN = frozenset(("images", "image", "imgs", "img", "pictures", "photos", "jpegimages", "leftimg8bit"))
Packed = NDArray[np.bytes_]
Key = tuple[str, ...]
Read = tuple[dict[str, Split], tuple[str, ...], tuple[str, ...]]


class Lying(NamedTuple):
    """What lies below a folder, each by its key: folders and name as they are compared.

    Attributes:
        pictures: by path their keys, the likeliest first.
        masks: their paths.
        beside: whether a folder of masks lies in the folder itself, beside that of all pictures.
    """

    pictures: dict[str, list[Key]]
    masks: dict[Key, str]
    beside: bool


class Pairs(NamedTuple):
    """Paths below the folder of pictures and their masks, ""  where all of a picture is normal."""

    pictures: list[str]
    masks: list[str]


def as_classes(names: Sequence[str]) -> tuple[str, ...]:
    """A note where the folders that are read as classes are pictures and their masks."""
    masks = [name for name in names if name.lower() in USUAL]
    if len(masks) != 1 or not all(name in masks or name.lower() in SHOWN for name in names):
        return ()
    listed = " and ".join(repr(name) for name in names)
    hint = f'with task = "segmentation", data.masks = "{masks[0]}" reads pictures and their masks'
    return (f"the folders {listed} are read as classes; {hint}",)


@dataclass(frozen=True)
class Wanted:
    """What is read as masks.

    Attributes:
        folder: how the folders of masks are called.
        endings: what the names of a picture and of its mask end in, before the dot.
        classes: names, in the order of their numbers; (): as the task has it.
        values, size, fit: see ``Fitting``.
        is_left: whether masks of so many bytes are left in a file.
    """

    folder: str
    endings: tuple[str, str]
    values: tuple[int | str, ...]
    classes: tuple[str, ...]
    size: tuple[int, int] | None
    fit: str
    is_left: Callable[[int], bool]

    def read(self, root: Path, pairs: Pairs, task: Task, role: str) -> AnyArray:
        """(N, H, W) int32, the masks of a split, or those of train left in a file; raises as ``_left_masks.read``."""

        def each() -> Iterator[Pair]:
            for picture, mask in zip(*pairs, strict=True):
                place, mask_place = f"data.path ({role}): {picture}", f"data.masks ({role}): {mask}"
                shown = _files.content(root / picture, place)
                yield Pair(shown, _files.content(root / mask, mask_place) if mask else None, place, mask_place)

        fitting, count = Fitting(self.values, task.unlabelled_pixel, self.size, self.fit), len(pairs.pictures)
        return _left_masks.read(fitting, each(), count, role, f"data.masks ({role})", self.is_left)

    def numbered(self, masks: Mapping[str, AnyArray], task: Task, at: At) -> Numbered:
        """Class names and labels, see ``Task.numbered``."""
        names = named(self.classes, "data.classes") if self.classes else names_of(self.values, task)
        return _left_masks.numbered(masks, names, task, at, f"data.masks: {self.folder}")


def read(
    path: str,
    endings: frozenset[str],
    wanted: Wanted,
    task: Task,
    reader: Callable[[Packed, str], Samples],
    carving: Carving,
) -> Read:
    """The splits of pictures that have masks, in the order of their paths; the class names; notes.

    A picture's mask is the file at the same path in a folder of masks, which lies beside the folder that the picture's
    path has there, or beside the pictures themselves: ``train/masks/a.png`` of ``train/images/a.jpg`` or of
    ``train/a.jpg``, ``masks/train/a.png`` of ``images/train/a.jpg``, ``ground_truth/cut/a.png`` of ``test/cut/a.png``.
    Where the task tells what is not normal, all of a picture is whose folder has no mask at all.

    Args:
        endings: of the files to read, in lower case, with the dot.
        reader: from (N,) paths below the folder, packed, and the split's name to its samples.
        carving: its ``limit`` takes the first pictures.

    Raises:
        DataError: no masks, one without a picture or of several, a picture without one or in no split, and what
            ``task.numbered`` and ``_folders.carved`` raise.
    """
    root, seen = _folders.root_of(path), Seen()
    pairs = _by_role(_below(root, endings, wanted, seen), wanted, task)
    pairs["train"] = Pairs(*(names[: carving.limit or None] for names in pairs["train"]))
    masks = {role: wanted.read(root, of, task, role) for role, of in pairs.items()}

    def at(role: str, i: int) -> str:
        return f"data.masks ({role}): {pairs[role].masks[i] or pairs[role].pictures[i]}"

    known = wanted.numbered(masks, task, at)
    splits = {}
    for role, of in pairs.items():
        ids = _files.packed(of.pictures)
        splits[role] = Split(reader(ids, role), known.labels.get(role), ids=ids)
    splits, carved = _folders.carved(splits, carving)
    return splits, known.names, (*known.notes, *_notes(pairs, masks, wanted, task), *carved, *seen.notes())


def _below(root: Path, endings: frozenset[str], wanted: Wanted, seen: Seen) -> Lying:
    """The pictures and the masks below a folder.

    Raises:
        DataError: two masks of one name, or none of either.
    """
    files: list[list[str]] = []
    for file in _folders.walk(root, seen):
        if not file.is_dir() and file.suffix.lower() in endings:
            files.append(file.relative_to(root).as_posix().split("/"))
        elif not file.is_dir():
            seen.endings[file.suffix.lower() or _folders.NO_ENDING] += 1
    files = _without_sisters(files, wanted.folder, seen)
    of_picture, of_mask = wanted.endings
    depths = {parts.index(wanted.folder) for parts in files if wanted.folder in parts[:-1]}
    pictures: dict[str, list[Key]] = {}
    masks: dict[Key, str] = {}
    for parts in files:
        *folders, last = parts
        is_mask, path = wanted.folder in folders, "/".join(parts)
        stem, ending = Path(last).stem, of_mask if is_mask else of_picture
        if not stem.endswith(ending):
            seen.endings[f"without {ending} before the dot"] += 1
            continue
        name = same_name(stem.removesuffix(ending))
        if not is_mask:
            others = [folders[:depth] + folders[depth + 1 :] for depth in sorted(depths) if depth < len(folders)]
            pictures[path] = [(*map(same_name, kept), name) for kept in (*others, folders)]
            continue
        depth = folders.index(wanted.folder)
        key = (*map(same_name, folders[:depth] + folders[depth + 1 :]), name)
        if key in masks:
            raise DataError("two masks of one name", where=f"data.masks: {path}", found=masks[key], allowed="one")
        masks[key] = path
    if not masks:
        names = {name for *folders, _ in files for name in folders}
        there = sorted(name for name in names if name.lower() not in ROLES and name.lower() not in SHOWN)
        raise DataError("no such folder of masks", where="data.masks", found=wanted.folder, allowed=there or None)
    if not pictures:
        raise DataError("masks without a picture beside them", where=f"data.path: {root.name}", found=wanted.folder)
    return Lying(pictures, masks, 0 in depths)


def _without_sisters(files: list[list[str]], folder: str, seen: Seen) -> list[list[str]]:
    """The paths without those of other masks beside a folder of masks and one that is called as pictures are, as
    ``SegmentationObject`` is beside ``SegmentationClass`` and ``JPEGImages``: files of the masks' endings alone."""
    above = {tuple(parts[: parts.index(folder)]) for parts in files if folder in parts[:-1]}
    endings_of: dict[tuple[str, ...], dict[str, set[str]]] = {parent: {} for parent in above}
    for parts in files:
        for depth in range(len(parts) - 1):
            if (endings := endings_of.get(tuple(parts[:depth]))) is not None:
                endings.setdefault(parts[depth], set()).add(Path(parts[-1]).suffix.lower())
    left_out: set[tuple[str, ...]] = set()
    for parent, endings in endings_of.items():
        if any(name.lower() in SHOWN for name in endings):
            names = (name for name in endings if name != folder and name.lower() not in (*SHOWN, *ROLES))
            left_out |= {(*parent, name) for name in names if endings[name] <= endings[folder]}
    kept = []
    for parts in files:
        places = (tuple(parts[:depth]) for depth in range(1, len(parts)))
        if (place := next((place for place in places if place in left_out), None)) is not None:
            seen.beside[f"in {place[-1]}"] += 1
        else:
            kept.append(parts)
    return kept


def _by_role(lying: Lying, wanted: Wanted, task: Task) -> dict[str, Pairs]:
    """The pictures of each split with their masks, ``train`` first.

    Raises:
        DataError: a picture without a mask, a mask that has not one picture, and what ``_roles`` raises.
    """
    keys = {path: next((key for key in likely if key in lying.masks), None) for path, likely in lying.pictures.items()}
    taken: dict[Key, str] = {}
    for path, key in keys.items():
        if key is not None and taken.setdefault(key, path) != path:
            place = f"data.masks: {lying.masks[key]}"
            raise DataError("a mask of two pictures", where=place, found=path, allowed=f"one, and {taken[key]} is it")
    masked = {path.rpartition("/")[0] for path in taken.values()}
    without = [path for path, key in keys.items() if key is None]
    if task.false_alarms is not None:  # a folder without any is of normal pictures
        without = [path for path in without if path.rpartition("/")[0] in masked]
    unused = [path for key, path in lying.masks.items() if key not in taken]
    if not taken or without or unused:
        _refuse(without or [*keys], unused or [*lying.masks.values()], wanted, nothing=not taken, alone=not without)
    pairs: dict[str, Pairs] = {}
    for path, role in _roles(lying).items():
        of, key = pairs.setdefault(role, Pairs([], [])), keys[path]
        of.pictures.append(path)
        of.masks.append("" if key is None else lying.masks[key])
    return {"train": pairs["train"], **pairs}


def _refuse(pictures: Sequence[str], masks: Sequence[str], wanted: Wanted, *, nothing: bool, alone: bool) -> None:
    """Raise DataError on pictures and masks that don't belong together: none does, or some masks or pictures alone."""
    hint = f"data.endings = {list(wanted.endings)} is what their names end in, before the dot"
    if nothing:
        raise DataError("no mask of any picture", where="data.masks", found=pictures[0], allowed=masks[0], hint=hint)
    what, odd = ("a mask without a picture", masks) if alone else ("a picture without a mask", pictures)
    names = odd[0] + (f" and {len(odd) - 1:,} more" if len(odd) > 1 else "")
    raise DataError(what, where="data.masks", found=names, hint=f"move it away where it is not to be read; {hint}")


def _roles(lying: Lying) -> dict[str, str]:
    """Each picture's split, as a folder above it is called; of no such folders all are for training.

    Raises:
        DataError: a picture outside of them, two folders for one split, no split for training.
    """
    above = {path: path.split("/")[:-1][: 2 if lying.beside else 1] for path in lying.pictures}
    folders = {path: next((name for name in names if name.lower() in ROLES), "") for path, names in above.items()}
    if not any(folders.values()):
        _folders.refuse_unread_splits(name for names in above.values() for name in names)
        return dict.fromkeys(folders, "train")
    by_role: dict[str, set[str]] = {}
    for path, folder in folders.items():
        if not folder:
            allowed = [name for names in CALLED.values() for name in names]
            raise DataError("a file in the folder of no split", where="data.path", found=path, allowed=allowed)
        by_role.setdefault(ROLES[folder.lower()], set()).add(folder)
    if twice := [names for names in by_role.values() if len(names) > 1]:
        raise DataError("two folders for one split", where="data.path", found=sorted(twice[0]))
    if "train" not in by_role:
        given = sorted({*folders.values()})
        raise DataError("folders of splits, and none for training", where="data.path", found=given, allowed="train")
    return {path: ROLES[folder.lower()] for path, folder in folders.items()}


def _notes(pairs: Mapping[str, Pairs], masks: Mapping[str, AnyArray], wanted: Wanted, task: Task) -> Iterator[str]:
    """What the user is to know of the masks."""
    normal = [path.rpartition("/")[0] for of in pairs.values() for path, mask in zip(*of, strict=True) if not mask]
    if normal:
        folders = list(dict.fromkeys(normal))
        places = ", ".join(folders[:LISTED]) + (", ..." if len(folders) > LISTED else "")
        yield f"{len(normal):,} pictures are normal all over: no picture of their folders has a mask ({places})"
    train = masks["train"]
    if isinstance(train, LeftMasks):
        blank = float(train.counts[task.unlabelled_pixel] / train.size)
    else:
        blank = float((train == task.unlabelled_pixel).mean())
    if wanted.values and blank:
        yield f"{units.share(blank)} of the training pixels are of none of data.values: they have no label"
