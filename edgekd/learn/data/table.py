"""Tables of numbers and categories with gaps: CSV, TSV (both also packed), JSON lines and Parquet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins, table_rows
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.errors import DataError
from edgekd.base.table_rows import Column
from edgekd.learn.data import _files, _table_columns, _table_files
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._lazy import Lazy, Reading
from edgekd.learn.data._role_files import RoleFiles, fingerprint
from edgekd.learn.data._split import Groups, carve_missing, check_carving, joined, listed
from edgekd.learn.data._table_columns import Learned, RawRows
from edgekd.learn.data._table_files import Cells
from edgekd.learn.data._table_labels import Names, by_split, check_named, labels_of
from edgekd.tasks import CLASSES, Task

IN_MEMORY = 10  # bytes of Python's texts for each of a file


@dataclass(frozen=True)
class Table(Reading):
    """Rows of a table, a sample a row, with a header. Numbers are standardised by the training rows, a missing one is
    their mean; where training has missing ones, a number beside it says so. A category is a number for each of its
    most frequent training values, one of them 1; all others share one more, and of a missing one all are 0.

    Files are ``.csv`` (commas between the columns), ``.tsv`` (tabs), either packed as ``.gz``, in UTF-8, with quotation
    marks around what holds such a mark itself; ``.jsonl``, an object a line; or ``.parquet``, which needs pyarrow.
    Empty cells, ``NA``, ``N/A``, ``#N/A``, ``<NA>``, ``NaN`` and ``null`` are missing values, in whatever case.

    Attributes:
        path: a file; or a folder with ``<prefix>train.csv`` and, where they are there, ``<prefix>validation.csv`` (or
            valid, val, dev) and ``<prefix>test.csv``, in whatever case.
        prefix: what the names of a folder's files begin with, such as ``bike_``.
        split: the column of a single file that says each row's split: train, validation (or val, dev) or test.
        label: the column of labels, names or numbers as the task takes them; or several, a number in each: values, or
            1 and 0 of several labels. "" where the data has none.
        columns: those that the student reads, in that order; empty: all but labels, split, groups and id.
        categories: those of them that are names, also where these are numbers, such as a month; all others are
            numbers. Empty: those that hold words in training rows; few different ones among many numbers, or a mark
            such as ``?``, are refused.
        values: of a category the student tells at most so many apart, the most frequent ones, 1 to 4096.
        classes: names, in the order of their numbers; without them those of the labels, or of their columns.
        validation, test: what is carved off where there is none: a share below 1, or a count from 1.
        groups: the column that names a group (a patient, a day) for each row, or several; rows that have a group in
            common are never split by carving.
        limit: use only the first so many training rows; 0: all.
        split_seed: of the carving.
        id: the column that names each row, for answers that were recorded elsewhere; without it they are numbered.
        lazy, workers: see ``Reading``; of a plain ``.csv`` or ``.tsv``, whose rows are found where they lie. Labels,
            groups and ids, and the different values of categories are held in memory then, too; all other files are.
    """

    path: str
    prefix: str = ""
    split: str = ""
    label: Names = "label"
    columns: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    values: int = 64
    classes: tuple[str, ...] = ()
    validation: float = 0.1
    test: float = 0.1
    groups: Groups = ""
    limit: int = 0
    split_seed: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        plugins.check_ranges(self, values=(1, table_rows.MOST_VALUES))
        self.check_reading()
        check_carving({"validation": self.validation, "test": self.test}, self.limit, self.split_seed)
        if twice := [name for name in self.columns if name in listed(self.label)]:
            raise ValueError(f"columns: allowed are columns that are no label, and {twice[0]} is one")

    def fingerprint(self) -> str:
        """SHA-256 over every file that is read, and the fields."""
        return fingerprint(replace(self, path=""), self._files.by_role())

    def load(self, task: Task = CLASSES) -> Dataset:
        """Read, carve off what has no rows, and learn means, deviations and categories of the training rows."""
        files = self._files.by_role()
        if self.split and Path(self.path).is_dir():
            allowed = "none, where each split has a file"
            raise DataError(
                "a split twice: by file, and by column", where="data.split", found=self.split, allowed=allowed
            )
        cells = {role: self._read(path) for role, path in files.items()}
        cells = by_split(cells["train"], self.split) if self.split else cells
        if self.limit:
            cells["train"] = cells["train"].some(np.arange(len(cells["train"]))[: self.limit])
        for role, of in cells.items():
            if not len(of):
                raise DataError("a split without rows", where=f"data.path ({role})", found=of.file)
        labels = labels_of(cells, self.label, self.classes, task, f"data.path: {Path(self.path).name}")
        splits = {role: self._numbers_of_rows(of, labels.labels.get(role), role) for role, of in cells.items()}
        by = listed(self.groups)
        groups = joined([np.array(cells["train"].columns[n]) for n in by], len(cells["train"]), "data.groups")
        shares = {"validation": self.validation, "test": self.test}
        splits, carved = carve_missing(splits, shares, self.split_seed, groups, " and ".join(by))
        learned = self._learned(cells["train"], np.asarray(splits["train"].x))
        columns = learned.columns()
        of_roles = {role: self._raw(of, columns) for role, of in cells.items()}
        splits = {
            role: replace(split, x=of_roles.get(role, of_roles["train"])[np.asarray(split.x)])
            for role, split in splits.items()
        }
        notes = (*labels.notes, *carved, *self._files.left_out(), *learned.notes())
        notes = (*notes, *self.scanned(splits, lambda _: None))
        parts = splits["train"], splits["validation"], splits["test"]
        dataset = Dataset(*parts, labels.names, ({"op": table_rows.OP, "columns": columns},), notes=notes)
        return checked(dataset, f"data.path: {Path(self.path).name}", task)

    def _read(self, path: Path) -> Cells:
        """What of a file is held in memory."""
        if not _table_files.is_plain(path):
            if self.lazy is True:
                what = "packed, or of another form, so that no row is found in it without those before"
                raise DataError(what, where="data.lazy", found=path.name, allowed="a plain .csv or .tsv, or auto")
            return _table_files.read(path, self._chosen)
        if not self.is_left(IN_MEMORY * _files.size_of(path, f"data.path: {path.name}", "bytes")):
            return _table_files.read(path, self._chosen)

        def beside(header: list[str], where: str) -> list[str]:
            inputs = self._inputs(header)
            others = (*listed(self.label), *listed(self.split), *listed(self.groups), *listed(self.id))
            return [name for name in self._chosen(header, where) if name not in inputs or name in others]

        return _table_files.read(path, beside, leave=True)

    @property
    def _files(self) -> RoleFiles:
        return RoleFiles(self.path, self.prefix, _table_files.ENDINGS)

    def _chosen(self, header: list[str], where: str) -> list[str]:
        """The columns that are read, those of the student first."""
        beside = {"label": listed(self.label), "split": listed(self.split), "groups": listed(self.groups)}
        beside["id"] = listed(self.id)
        check_named(header, {"columns": self.columns, **beside, "categories": self.categories}, where)
        inputs = self._inputs(header)
        if unread := [name for name in self.categories if name not in inputs]:
            raise DataError("no column that is read", where="data.categories", found=unread[0], allowed=inputs)
        if not 0 < len(inputs) <= table_rows.MOST_COLUMNS or len({*inputs}) < len(inputs):
            allowed = f"1 to {table_rows.MOST_COLUMNS} different columns beside the label"
            raise DataError("no columns for the student", where="data.columns", found=len(inputs), allowed=allowed)
        return list(dict.fromkeys((*inputs, *(name for names in beside.values() for name in names))))

    def _inputs(self, names: Iterable[str]) -> tuple[str, ...]:
        """The columns that the student reads, of those of a file."""
        others = (*listed(self.label), *listed(self.groups), self.split, self.id)
        return self.columns or tuple(name for name in names if name not in others)

    def _numbers_of_rows(self, cells: Cells, labels: AnyArray | None, role: str) -> Split:
        """A split of row numbers, to be carved before anything is learned of what the rows hold."""
        split = Split(np.arange(len(cells)), labels)
        if self.id:
            return replace(split, ids=np.array(cells.columns[self.id], dtype=object))
        return split.counted(role if Path(self.path).is_dir() or self.split else "", cells.header)

    def _learned(self, cells: Cells, training: NDArray[np.int64]) -> Learned:
        """What the op knows of each column."""
        inputs = self._inputs(cells.names)
        categories = self.categories or _table_columns.categories_of(cells, inputs)
        learned = Learned(inputs, categories, self.values)
        learned.add(cells.some(training))
        return learned

    def _raw(self, cells: Cells, columns: list[Column]) -> Samples:
        """(N, K) raw rows, or where they lie."""
        if (left := cells.left) is None:
            return _table_columns.raw_rows(cells, columns)
        decoder = RawRows(left.path, left.stamp, left.delimiter, left.header, columns)
        return Lazy(decoder, RawRows.columns(cells, left), self.pool)
