"""A folder of files, one folder a class: what the sources that read them share.

Links to folders and files are followed. Hidden files and folders, and what systems and notebooks leave behind
(``LEFT_OUT``), count for nothing; every other folder below a split is a class, an empty one, too.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _hashes
from edgekd.learn.data._base import Split
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._split import CALLED, ROLES, carve, carve_missing
from edgekd.tasks import CLASSES, LISTED, Task, alike_names, named, same_name

LEFT_OUT = frozenset(
    ("__macosx", "__pycache__", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information")
)
NO_ENDING = "without an ending"


class Labelled(NamedTuple):
    """Files and their classes.

    Attributes:
        names: (N,) paths below the root, packed: as Python's texts 200,000 take 20 MB and leave memory in pieces.
        labels: (N,) numbers of classes.
    """

    names: NDArray[np.bytes_]
    labels: NDArray[np.int64]


class Carving(NamedTuple):
    """What becomes of the files of a folder that says no splits, or not all.

    Attributes:
        shares: of test and validation where they have no folder: the share (below 1) or count that is carved off.
        limit: use only so many training files; 0: all.
        seed: of the carving.
        group: the text that ends, in a file's name, what names its group; samples of one group are never split. A
            file whose name does not hold it is a group of its own, and counted in a note.
    """

    shares: Mapping[str, float]
    limit: int
    seed: int
    group: str


@dataclass
class Seen:
    """What lies in a folder and is not read, counted."""

    hidden: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    astray: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)

    def notes(self) -> Iterator[str]:
        """A sentence on each kind."""
        if self.hidden:
            yield f"left out, as hidden files and folders are: {_listed(self.hidden)}"
        if self.endings:
            yield f"left out, as files of these endings are not read: {_listed(self.endings)}"
        if self.astray:
            yield f"left out, as they lie in no class folder: {_listed(self.astray)}"
        if self.beside:
            yield f"left out, as they lie beside the pictures and their masks: {_listed(self.beside)}"


def _listed(counts: Counter[str]) -> str:
    counted = [f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    return ", ".join(counted[:8]) + (", ..." if len(counted) > 8 else "")


def root_of(path: str) -> Path:
    """The folder, or a DataError where there is none."""
    root = Path(path)
    if not root.is_dir():
        raise DataError("no such folder", where="data.path", found=path)
    return root


def fingerprint(path: str, endings: frozenset[str], fields: str) -> str:
    """SHA-256 over the fields of a source (without its path), each class's name, and each file's name and content."""
    digest = hashlib.sha256(fields.encode())
    root = root_of(path)
    with _hashes.of_folder(root) as hashes:
        for place in walk(root):
            name = place.relative_to(root).as_posix()
            if place.is_dir():
                if name.count("/") < 2:  # no deeper than a class of a split
                    digest.update(os.fsencode(name) + b"/\0")
            elif place.suffix.lower() in endings:
                digest.update(os.fsencode(name) + b"\0" + hashes.sha256(place, name, f"data.path: {name}"))
    return digest.hexdigest()


def read(
    path: str,
    endings: frozenset[str],
    reader: Callable[[Labelled, str], Split],
    carving: Carving,
    task: Task = CLASSES,
) -> tuple[dict[str, Split], tuple[str, ...], tuple[str, ...]]:
    """The splits of ``path/train/<class>/*``, with ``test`` and ``validation`` alike, or of ``path/<class>/*``; the
    class names; and what the user is to know.

    Args:
        endings: of the files to read, in lower case, with the dot.
        reader: from files with labels and the split's name to its samples.
        carving: its ``limit`` is spread over the classes.
        task: of classes; or one that tells what is not normal: then the other splits may have folders of their own, and
            the task numbers what the folders are called.

    Raises:
        DataError: no such folder, no classes, a class without files or one that train does not have, nothing left of a
            split, a group's text that no file's name holds.
    """
    root, seen = root_of(path), Seen()
    folders = _splits_of(root, endings, seen)
    classes = _classes([folders["train"]] if task.exclusive else [*folders.values()], endings)
    listed = {name: _files_of(folder, root, classes, endings, name, seen) for name, folder in folders.items()}
    if task.exclusive:
        _check_classes(listed["train"], classes, folders["train"], root, endings)
    files = _limited(listed["train"], carving.limit, carving.seed)
    read_files = {name: files if name == "train" else listed[name] for name in folders}
    splits = {name: replace(reader(of, name), ids=of.names) for name, of in read_files.items()}
    if not task.exclusive:
        splits, classes = _numbered(splits, classes, task)
    splits, notes = carved(splits, carving)
    return splits, classes, (*notes, *alike_names(classes), *seen.notes())


def check_task(task: Task, hint: str) -> None:
    """Raise DataError where a task's labels are not what folders are called; ``hint``: what else says labels."""
    if not task.exclusive and (task.dense or task.false_alarms is None):
        raise DataError("the folders are of classes", where="data.path", allowed=f"classes; or {hint}")


def _check_classes(train: Labelled, classes: Sequence[str], folder: Path, root: Path, endings: frozenset[str]) -> None:
    """Raise DataError where there is one class only, or one of them has no training sample."""
    present = set(np.unique(train.labels).tolist())
    if absent := [name for label, name in enumerate(classes) if label not in present]:
        _refuse_empty(folder / absent[0], endings)
    if len(classes) < 2:
        inside, hint = _inside(folder), None
        if len(inside) > 1:
            place = inside[0].parent.relative_to(root).as_posix()
            hint = f"the folders in {place} may be the classes: data.path, or the split's folder, is to hold them"
        where, allowed = f"data.path: {root.name}", "at least 2 folders"
        raise DataError("one class only", where=where, found=classes, allowed=allowed, hint=hint)


def _numbered(
    splits: Mapping[str, Split], classes: tuple[str, ...], task: Task
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits with the labels that a task makes of the folders' names, and the names of its columns."""
    labels = {name: split.y for name, split in splits.items() if split.y is not None}
    known = numbered(task, labels, classes, lambda name, i: f"data.path ({name})", "data.path")
    return {name: replace(split, y=known.labels[name]) for name, split in splits.items()}, known.names


def carved(splits: Mapping[str, Split], carving: Carving) -> tuple[dict[str, Split], tuple[str, ...]]:
    """All three splits of files, whose ids are their packed names, and notes."""
    ids, group = splits["train"].ids, carving.group
    last = [_files.text(file).rpartition("/")[2] for file in ids.tolist()] if group and ids is not None else []
    groups = np.array([name.split(group)[0] for name in last]) if group else None
    whole, notes = carve_missing(
        splits, carving.shares, carving.seed, groups, f"what stands before {group!r} in a file's name"
    )
    return whole, (*notes, *_ungrouped(last, group))


def columns(path: str, files: NDArray[np.bytes_]) -> tuple[AnyArray, ...]:
    """Of files below a folder what ``_files.span`` is told of each."""
    stamps, starts, sizes = np.zeros((3, len(files)), np.int64)
    for i, file in enumerate(files):
        about = os.stat(Path(path, _files.text(file)))
        stamps[i], sizes[i] = _files.stamp_of(about), about.st_size
    return files, stamps, starts, sizes


def _ungrouped(names: list[str], group: str) -> Iterator[str]:
    """A note on the files whose names don't hold what ends a group's; where none does, the groups are no groups."""
    alone = [name for name in names if group not in name]
    if alone and len(alone) == len(names):
        hint = "give the text that stands right behind what names the group"
        raise DataError("in no file's name", where="data.groups", found=group, allowed=f"as in {names[0]}", hint=hint)
    if alone:
        of = f"{len(alone):,} of {len(names):,} training files"
        yield f"{of} don't have {group!r} in their name ({alone[0]}): each is a group of its own"


def _splits_of(root: Path, endings: frozenset[str], seen: Seen) -> dict[str, Path]:
    """The folder of each split that has one."""
    shown = [place for place in entries(root, seen) if place.is_dir()]
    by_role: dict[str, list[Path]] = {}
    for folder in shown:
        if (role := ROLES.get(folder.name.lower())) is not None:
            by_role.setdefault(role, []).append(folder)
    others = [folder for folder in shown if folder.name.lower() not in ROLES]
    deep = any(below.is_dir() for folders in by_role.values() for folder in folders for below in entries(folder))
    if not by_role or (others and not deep):  # a class may be called train where it holds files alone
        _refuse_unclear(shown, f"data.path: {root.name}")
        return {"train": root}
    where = f"data.path: {root.name}"
    if several := [folders for folders in by_role.values() if len(folders) > 1]:
        raise DataError("two folders for one split", where=where, found=[folder.name for folder in several[0]])
    if "train" not in by_role:
        names = sorted(folder.name for folders in by_role.values() for folder in folders)
        raise DataError("folders of splits, and none for training", where=where, found=names, allowed=CALLED["train"])
    filled = [folder.name for folder in others if any(file.suffix.lower() in endings for file in walk(folder))]
    if filled and len(by_role) == 1:
        names = [by_role["train"][0].name, *filled]
        hint = "rename the folder where it is a class; move the others away where it is the split"
        raise DataError("the training split or a class", where=where, found=names, hint=hint)
    seen.astray.update(f"folder {name}" for name in filled)
    files = [place.name for place in entries(root) if not place.is_dir()]  # a test.zip that was not unpacked
    seen.astray.update(name for name in files if ROLES.get(name.lower().split(".")[0], "train") not in by_role)
    return {name: by_role[name][0] for name in ("train", "test", "validation") if name in by_role}


def _refuse_unclear(folders: list[Path], where: str) -> None:
    """Raise DataError where what would be classes looks like splits, by another name or one level too deep."""
    for folder in folders:
        below = [place.name for place in entries(folder) if place.is_dir()]
        split = next(iter(split_words(folder.name)), None)
        if below and all(name.lower() in ROLES for name in below):
            nested, allowed = f"{folder.name}/{below[0]}", f"{below[0]}/{folder.name}, or data.path at {folder.name}"
            raise DataError("a split inside of a folder", where=where, found=nested, allowed=allowed)
        if split is not None and len(_inside(folder)) > 1:
            hint = "rename it where it is the split; where it is a class, put its files straight into it"
            raise DataError(
                "a split or a class", where=where, found=folder.name, allowed=CALLED[ROLES[split]], hint=hint
            )


def split_words(name: str) -> list[str]:
    """The words of a file's or folder's name that say a split: ``test`` of ``my_Test2017-0.tar``."""
    return [word for word in re.split(r"[\W\d_]+", name.lower()) if word in ROLES]


def refuse_unread_splits(folders: Iterable[str]) -> None:
    """Raise DataError where all files would be for training, and a folder seems to be of another split.

    Args:
        folders: the names of those that would say a split; none is called as one.
    """
    for name in folders:
        if split := next((word for word in split_words(name) if ROLES[word] != "train"), None):
            hint = "rename it, that of training, too; or move away what is not to be read"
            what, allowed = "a folder that may be a split, and would be trained on", CALLED[ROLES[split]]
            raise DataError(what, where="data.path", found=name, allowed=allowed, hint=hint)


def _inside(folder: Path) -> list[Path]:
    """The folders in a folder; where one alone lies there, as where an archive was unpacked, those in that one."""
    below = [place for place in entries(folder) if place.is_dir()]
    for _ in range(8):  # links may lead in a circle
        if len(below) != 1:
            break
        below = [place for place in entries(below[0]) if place.is_dir()]
    return below


def _limited(files: Labelled, limit: int, seed: int) -> Labelled:
    if not limit or limit >= len(files.labels):
        return files
    _, chosen = carve(files.labels, len(files.labels), limit, seed)
    return Labelled(files.names[chosen], files.labels[chosen])


def _classes(folders: Sequence[Path], endings: frozenset[str]) -> tuple[str, ...]:
    """How the folders of all are called; the first is that of train."""
    by_folder = [sorted(place.name for place in entries(folder) if place.is_dir()) for folder in folders]
    if not by_folder[0]:
        allowed = f"<class>/*{min(endings)} below it"
        raise DataError("no class folders", where="data.path", found=folders[0].name, allowed=allowed)
    return named(list(dict.fromkeys(name for names in by_folder for name in names)), f"data.path ({folders[0].name})")


def _files_of(
    folder: Path, root: Path, classes: tuple[str, ...], endings: frozenset[str], split: str, seen: Seen
) -> Labelled:
    """The files of a split, class by class."""
    numbers = {same_name(name): label for label, name in enumerate(classes)}
    names, labels = [], []
    unread: Counter[str] = Counter()
    astray: Counter[str] = Counter()
    for place in entries(folder, seen):
        if not place.is_dir():
            astray.update([f"{place.suffix.lower()} in {folder.name}"] if place.suffix.lower() in endings else [])
        elif same_name(place.name) not in numbers:
            where = f"data.path ({folder.name})"
            allowed = classes if len(classes) <= LISTED else f"the {len(classes):,} of train"
            raise DataError("a class that train does not have", where=where, found=place.name, allowed=allowed)
        else:
            files = [file for file in walk(place, seen) if not file.is_dir()]
            read_files = [file.relative_to(root).as_posix() for file in files if file.suffix.lower() in endings]
            names.append(_files.packed(read_files))
            labels.append(np.full(len(read_files), numbers[same_name(place.name)]))
            unread.update(file.suffix.lower() or NO_ENDING for file in files if file.suffix.lower() not in endings)
    if not sum(map(len, names)):
        lie = [_listed(unread)] if unread else []
        lie += [f"outside of class folders: {_listed(astray)}"] if astray else []
        allowed = f"<class>/* of {', '.join(sorted(endings))}"
        raise DataError(
            "an empty split", where=f"data.path ({split}): {folder.name}", found=", ".join(lie) or None, allowed=allowed
        )
    seen.endings += unread
    seen.astray += astray
    order = np.argsort(np.concatenate(labels), kind="stable")
    return Labelled(np.concatenate(names)[order], np.concatenate(labels)[order])


def _refuse_empty(folder: Path, endings: frozenset[str]) -> None:
    others = Counter(file.suffix.lower() or NO_ENDING for file in walk(folder) if not file.is_dir())
    content = f"files of other endings: {_listed(others)}" if others else "an empty folder"
    where = f"data.path: {folder.parent.name}/{folder.name}"
    raise DataError("a class without a training sample", where=where, found=content, allowed=", ".join(sorted(endings)))


def entries(folder: Path, seen: Seen | None = None) -> list[Path]:
    """What lies in a folder and is not hidden, sorted."""
    shown = []
    try:
        inside = sorted(folder.iterdir())
    except OSError as err:
        raise DataError(
            f"can't be read ({err.strerror})", where=f"data.path: {folder.parent.name}/{folder.name}"
        ) from err
    for place in inside:
        if place.name.startswith(".") or place.name.lower() in LEFT_OUT:
            if seen is not None:
                seen.hidden["._*" if place.name.startswith("._") else place.name] += 1
        elif not place.exists():
            where = f"data.path: {folder.name}/{place.name}"
            raise DataError("a link that leads nowhere", where=where, found=os.readlink(place))
        elif not place.is_dir() and not place.is_file():
            raise DataError("not a regular file", where=f"data.path: {folder.name}/{place.name}", found="a FIFO, or so")
        else:
            shown.append(place)
    return shown


def walk(folder: Path, seen: Seen | None = None, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """Every folder and file below a folder that is not hidden, sorted, through links as well."""
    about = folder.stat()
    if (here := (about.st_dev, about.st_ino)) in above:
        raise DataError("a link to a folder that it lies in", where=f"data.path: {folder.parent.name}/{folder.name}")
    for place in entries(folder, seen):
        yield place
        if place.is_dir():
            yield from walk(place, seen, above | {here})
