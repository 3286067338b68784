"""A table beside the files of a folder: a row a file, with its name and its labels."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import Samples
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _folders, _table_files
from edgekd.learn.data._base import Split
from edgekd.learn.data._folders import Carving, Seen
from edgekd.learn.data._split import CALLED, ROLES, listed
from edgekd.learn.data._table_files import Cells
from edgekd.learn.data._table_labels import Names, by_split, check_named, labels_of
from edgekd.tasks import Task, same_name

Packed = NDArray[np.bytes_]


@dataclass(frozen=True)
class Wanted:
    """What of a table is read.

    Attributes:
        table: its name below the folder of files; or one of that name in the folder of each split.
        file: the column of the files' names: paths from the folder, or from the split's where it has its own table.
        label, classes: see ``labels_of``.
        split: the column that says each row's split; "": the folders do, or all are for training.
    """

    table: str
    file: str
    label: Names
    split: str
    classes: tuple[str, ...]

    def header(self, header: list[str], where: str) -> list[str]:
        """The columns that are read, of those that there are."""
        by_key = {"file": (self.file,), "label": listed(self.label), "split": listed(self.split)}
        check_named(header, by_key, where)
        return list(dict.fromkeys(name for names in by_key.values() for name in names))


def tables(path: str, name: str) -> dict[str, Path]:
    """The table of a folder, under ""; or those of the folders of its splits, by the folder's name.

    Raises:
        DataError: there is none, or none for training.
    """
    root = _folders.root_of(path)
    if (root / name).is_file():
        return {"": root / name}
    below = {folder: root / folder / name for folder in _folders_of_splits(root)}
    by_folder = {folder: table for folder, table in below.items() if table.is_file()}
    if "train" not in {ROLES[folder.lower()] for folder in by_folder}:
        there = [file.name for file in sorted(root.iterdir()) if _table_files.ending_of(file)]
        hint = "a path from data.path, or the name of one in the folder of each split"
        raise DataError("no such table", where="data.metadata", found=name, allowed=there or None, hint=hint)
    return by_folder


def read(
    path: str,
    endings: frozenset[str],
    wanted: Wanted,
    task: Task,
    reader: Callable[[Packed, str], Samples],
    carving: Carving,
) -> tuple[dict[str, Split], tuple[str, ...], tuple[str, ...]]:
    """The splits of the files that the rows name, in their order; the class names; and what the user is to know.

    Args:
        endings: of the files to read, in lower case, with the dot.
        reader: from (N,) paths below the folder, packed, and the split's name to its samples.
        carving: its ``limit`` takes the first rows.

    Raises:
        DataError: a row without a file, a file of two rows or of none, a file in no split, and what ``labels_of`` and
            ``_folders.carved`` raise.
    """
    root, places, seen = _folders.root_of(path), tables(path, wanted.table), Seen()
    if wanted.split and "" not in places:
        what, allowed = "a split twice: by folder, and by column", "none, where the folder of each split has a table"
        raise DataError(what, where="data.split", found=wanted.split, allowed=allowed)
    rows = {folder: _table_files.read(table, wanted.header) for folder, table in places.items()}
    rows = _matched(rows, _files_below(root, endings, places, seen), wanted.file)
    cells = by_split(rows[""], wanted.split) if wanted.split else _by_folder(root, rows, wanted.file)
    cells["train"] = cells["train"].some(np.arange(len(cells["train"]))[: carving.limit or None])
    for role, of in cells.items():
        if not len(of):
            raise DataError("a split without rows", where=f"data.metadata ({role})", found=of.file)
    known = labels_of(cells, wanted.label, wanted.classes, task, f"data.metadata: {Path(wanted.table).name}")
    files = {role: _files.packed(of.columns[wanted.file]) for role, of in cells.items()}
    splits = {role: Split(reader(names, role), known.labels.get(role), ids=names) for role, names in files.items()}
    splits, carved = _folders.carved(splits, carving)
    return splits, known.names, (*known.notes, *carved, *seen.notes())


def _folders_of_splits(root: Path) -> list[str]:
    """The names of those that are called as a split; none where there is none for training."""
    names = [place.name for place in _folders.entries(root) if place.is_dir() and place.name.lower() in ROLES]
    return names if "train" in {ROLES[name.lower()] for name in names} else []


def _files_below(root: Path, endings: frozenset[str], places: Mapping[str, Path], seen: Seen) -> dict[str, str]:
    """The files below the folders of tables: by their name as it is compared, their path."""
    if "" not in places:
        others = [place for place in _folders.entries(root) if place.is_dir() and place.name not in places]
        seen.astray.update(f"folder {place.name}" for place in others)
    files: dict[str, str] = {}
    for folder in places:
        for file in _folders.walk(root / folder, seen):
            if file.suffix.lower() in endings:
                name = file.relative_to(root).as_posix()
                files[same_name(name)] = name
            elif not file.is_dir() and file not in places.values():
                seen.endings[file.suffix.lower() or _folders.NO_ENDING] += 1
    if not files:
        allowed = f"files of {', '.join(sorted(endings))} below it"
        raise DataError("a folder without files to read", where="data.path", found=root.name, allowed=allowed)
    return files


def _matched(rows: Mapping[str, Cells], files: Mapping[str, str], column: str) -> dict[str, Cells]:
    """The rows with the paths of their files; each file has one."""
    places: dict[str, str] = {}
    matched = {}
    for folder, cells in rows.items():
        paths = []
        for i, text in enumerate(cells.columns[column]):
            name = same_name(posixpath.normpath(posixpath.join(folder, text)))
            place = f"{cells.at(i)}: {column}"
            if not text or name not in files:
                example = next(iter(files.values())).removeprefix(f"{folder}/" if folder else "")
                allowed = f"a path from {folder or 'data.path'}, such as {example}"
                raise DataError(
                    "no such file" if text else "a row without a file", where=place, found=text, allowed=allowed
                )
            if name in places:
                raise DataError("a file of two rows", where=place, found=text, allowed=f"one, and {places[name]} is it")
            places[name] = cells.at(i)
            paths.append(files[name])
        matched[folder] = replace(cells, columns={**cells.columns, column: paths})
    if without := [path for name, path in files.items() if name not in places]:
        names = without[0] + (f" and {len(without) - 1:,} more" if len(without) > 1 else "")
        hint = "move them away where they are not to be read"
        raise DataError("files without a row", where="data.metadata", found=names, allowed="a row for each", hint=hint)
    return matched


def _by_folder(root: Path, rows: Mapping[str, Cells], column: str) -> dict[str, Cells]:
    """The rows of each split, as the folders say that their files lie in; without such folders all are for training."""
    folders = _folders_of_splits(root)
    if "" not in rows:
        return _one_each((ROLES[folder.lower()], cells) for folder, cells in rows.items())
    cells = rows[""]
    if not folders:
        _folders.refuse_unread_splits(place.name for place in _folders.entries(root) if place.is_dir())
        return {"train": cells}
    index: dict[str, list[int]] = {folder: [] for folder in folders}
    for i, path in enumerate(cells.columns[column]):
        folder = path.partition("/")[0]
        if folder not in index:
            hint = "or data.split names a column that says each row's split"
            raise DataError(
                "a file in the folder of no split", where=cells.at(i), found=path, allowed=folders, hint=hint
            )
        index[folder].append(i)
    parts = ((ROLES[folder.lower()], cells.some(np.array(of, np.int64))) for folder, of in index.items())
    return _one_each(parts)


def _one_each(parts: Iterator[tuple[str, Cells]]) -> dict[str, Cells]:
    """The rows of each split, ``train`` first."""
    by_role: dict[str, Cells] = {}
    for role, cells in parts:
        if role in by_role:
            raise DataError("two folders for one split", where="data.path", found=role, allowed=CALLED[role])
        by_role[role] = cells
    return {"train": by_role["train"], **by_role}
