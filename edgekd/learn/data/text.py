"""Texts and their labels from files of TSV or CSV, in plain or gzip."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins, table_rows
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _table_lines, _tagged, _text_lines, _vocabulary
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._lazy import Lazy, Reading
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._role_files import RoleFiles, fingerprint
from edgekd.learn.data._split import Groups, carve_missing, check_carving, joined, listed
from edgekd.learn.data._table_files import JSON_LINES
from edgekd.learn.data._table_labels import Names, places_by_split
from edgekd.learn.data._table_lines import Line
from edgekd.learn.data._text_lines import ENDINGS, UNQUOTED
from edgekd.learn.data._texts import IN_MEMORY, Texts, check_pair, labels_of_rows
from edgekd.tasks import CLASSES, LISTED, Numbered, Task, named

OTHERS = (".json", ".ndjson", ".jsonl.gz", ".parquet", ".arrow", ".xlsx")  # files of another form


@dataclass(frozen=True)
class Rows:
    """A file's samples: ``lines[i]`` is the number of sample i's line, from 1; ``groups[i]`` is a row of names.

    ``ids``: what each is called, where a column says it; ``parts``: its split, likewise. ``spans``: of texts that stay
    in the file the first byte of each, how many, and 0; of CSV those of its line, and the number of its column.
    """

    file: str
    texts: list[str]
    labels: list[str]
    lines: list[int]
    groups: list[list[str]]
    ids: list[str]
    parts: list[str]
    spans: list[tuple[int, int, int]] | None = None
    header: Sequence[str] = ()

    def some(self, index: Sequence[int]) -> Rows:
        """The samples of some places."""
        columns = (self.texts, self.labels, self.lines, self.groups, self.ids, self.parts)
        texts, labels, lines, groups, ids, parts = ([of[i] for i in index] if of else [] for of in columns)
        spans = None if self.spans is None else [self.spans[i] for i in index]
        return Rows(self.file, texts, labels, lines, groups, ids, parts, spans, self.header)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Text(Reading):
    """UTF-8 files with a header line and a sample a line: ``.tsv``, tabs between the columns, nothing quoted; or
    ``.csv``, commas between them, or semicolons (see ``_table_lines.delimiter_of``), and quotation marks around a text
    that holds one, a line's end or such a mark, which is doubled then; or ``.jsonl``, an object a line, without header.

    Attributes:
        path: a file, off which validation and test are carved; or a folder with ``<prefix>train.tsv`` and, where they
            are there, ``<prefix>validation.tsv`` (or valid, val, dev) and ``<prefix>test.tsv``, in whatever case; or
            each with ``.csv``, ``.tsv.gz``, ``.csv.gz`` or ``.jsonl``.
        prefix: what the names of a folder's files begin with, such as ``sst2_``.
        split: the column of a single file that says each line's split: train, validation (or val, dev) or test.
        sentence, label: names of the columns; without a label ("") the data has none. Of ``tagging`` a label is a tag
            for each word, spaces between.
        pair: the column of a second text, of tasks whose labels are of pairs: each line is two samples, one after the
            other, and its label is how alike they are; without a label the two belong together.
        negative: the column of a third text, or several, that do not belong to the first: each line is an anchor
            (``sentence``), its positive (``pair``) and its negatives then, and has no label.
        classes: names, in the order of their numbers; without them those of the labels. See ``_classes.py``.
        vocab: at most so many tokens, learned from the training split, 100 to 1,000,000.
        tokenizer: or a folder with the vocabulary of a model: ``vocab.txt`` or ``tokenizer.json``.
        length: tokens of a text at most, [CLS] and [SEP] counted, 3 to 16384; the rest is cut off.
        lower: lower case, without accents.
        validation, test: what is carved off where no file is there: a share below 1, or a count from 1.
        groups: the column that names a group (a writer, a document) for each sample, or several; samples that have a
            group in common are never split by carving.
        limit: use only the first so many training samples; 0: all.
        split_seed: of the carving.
        id: the column that names each sample, for answers that were recorded elsewhere; without it they are numbered.
            The texts of a pair ``7`` are ``7/1`` and ``7/2``, its negatives ``7/3`` up.
        lazy, workers: see ``Reading``; ``.gz``, ``.jsonl`` and texts whose words have tags are held in memory, and
            texts need no workers.
    """

    path: str
    prefix: str = ""
    split: str = ""
    sentence: str = "sentence"
    label: str = "label"
    pair: str = ""
    negative: Names = ""
    classes: tuple[str, ...] = ()
    vocab: int = 8000
    tokenizer: str = ""
    length: int = 64
    lower: bool = True
    validation: float = 0.1
    test: float = 0.1
    groups: Groups = ""
    limit: int = 0
    split_seed: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        plugins.check_ranges(self, vocab=(100, 1_000_000), length=(3, 16_384))
        self.check_reading()
        check_carving({"validation": self.validation, "test": self.test}, self.limit, self.split_seed)

    def fingerprint(self) -> str:
        """SHA-256 over every file that is read, and the fields."""
        files = self._files()
        if self.tokenizer:
            files["tokenizer"] = _vocabulary.file_in(self.tokenizer)
        return fingerprint(replace(self, path="", tokenizer=""), files)

    def load(self, task: Task = CLASSES) -> Dataset:
        """Read, check, carve off what has no file, and learn the vocabulary from the training split."""
        check_pair(task, self.label, self.sentence, self.pair, self.negative)
        files = self._files()
        if self.split and Path(self.path).is_dir():
            what, allowed = "a split twice: by file, and by column", "none, where each split has a file"
            raise DataError(what, where="data.split", found=self.split, allowed=allowed)
        rows = {role: self._read(path, role, task) for role, path in files.items()}
        rows = self._by_split(rows["train"]) if self.split else rows
        names, labels, notes = self._classes(rows, task)
        for role, y in labels.items() if task.dense else ():
            _tagged.check_counts(rows[role].texts, y, partial(_line, rows[role]))
        splits = {role: self._split(file_rows, labels.get(role), role) for role, file_rows in rows.items()}
        columns: list[AnyArray] = [np.array(names) for names in zip(*rows["train"].groups, strict=True)]
        columns += [np.arange(len(splits["train"])) // len(self._texts_of_line)] if self.pair else []
        groups = joined(columns, len(splits["train"]), "data.groups") if columns else None
        shares = {"validation": self.validation, "test": self.test}
        by = " and ".join((*listed(self.groups), *(["triplet" if self.negative else "pair"] if self.pair else [])))
        splits, carved = carve_missing(splits, shares, self.split_seed, groups, by)
        train = splits["train"]
        vocabulary = (
            _vocabulary.read(self.tokenizer, self.lower)
            if self.tokenizer
            else _vocabulary.learned(train.x, self.vocab, self.lower)
        )
        op = {"op": "wordpiece", "vocabulary": vocabulary, "length": self.length, "lower": self.lower}
        if task.dense:
            splits = {role: _tagged.split_of_tokens(split, op) for role, split in splits.items()}
        parts = splits["train"], splits["validation"], splits["test"]
        all_notes = (*notes, *carved, *self._beside.left_out(), *_quoted(rows.values()))
        if task.dense and self.lazy is True:
            all_notes = (*all_notes, "texts whose words have tags are held in memory, whatever data.lazy says")
        all_notes = (*all_notes, *self.scanned(splits, lambda _: None))
        dataset = Dataset(*parts, names, (op,), notes=all_notes)
        return checked(dataset, f"data.path: {Path(self.path).name}", task)

    def _split(self, rows: Rows, labels: NDArray[np.int64] | None, role: str) -> Split:
        split = Split(self._texts(rows, role), labels)
        if self.id:
            return replace(split, ids=np.array(rows.ids, dtype=object))
        return split.counted(role if Path(self.path).is_dir() or self.split else "", rows.header)

    def _texts(self, rows: Rows, role: str) -> Samples:
        """Those that were read, or where they lie."""
        if rows.spans is None:
            return np.array(rows.texts, dtype=object)
        files = self._files()
        path, spans = files.get(role, files["train"]), np.array(rows.spans, np.int64).reshape(-1, 3)
        stamp = np.full(len(spans), _files.stamp_of(path.stat()), np.int64)
        starts, sizes, column = spans.T
        places = (starts, sizes, np.array(rows.lines, np.int64), column)
        delimiter = _table_lines.delimiter_of(path, "data.path") if _table_lines.is_csv(path) else ""
        decoder = Texts("", "data.path: {file}, line {name}", delimiter)
        return Lazy(decoder, (np.full(len(spans), str(path), object), stamp, *places), None)

    @property
    def _beside(self) -> RoleFiles:
        return RoleFiles(self.path, self.prefix, ENDINGS)

    def _files(self) -> dict[str, Path]:
        """The file of each split that has one."""
        files = self._beside.by_role()
        if other := [path.name for path in files.values() if path.name.lower().endswith(OTHERS)]:
            hint = 'source = "arrow" reads .arrow and .parquet; JSON lines are read of .jsonl'
            raise DataError("no file of lines", where="data.path", found=other[0], allowed=ENDINGS, hint=hint)
        return files

    @property
    def _texts_of_line(self) -> list[tuple[str, str]]:
        """The key and the column of each text of a line."""
        second = [("pair", self.pair)] if self.pair else []
        return [("sentence", self.sentence), *second, *(("negative", name) for name in listed(self.negative))]

    def _read(self, path: Path, role: str, task: Task) -> Rows:
        where, limit = f"data.path: {path.name}", self.limit if role == "train" else 0
        lazy = not task.dense and self._stays(path)  # tags are held against the words
        lines = _text_lines.lines_of(path, where, lazy, self._beside_texts)
        header = next(lines, Line(1, 0, 0, [""])).cells
        of_texts = [self._column(header, key, name, where) for key, name in self._texts_of_line]
        of_labels = [self._column(header, "label", self.label, where)] if self.label else []
        by = listed(self.groups) if role == "train" else ()
        called = [self._column(header, "id", self.id, where)] if self.id else []
        grouping = [self._column(header, "groups", name, where) for name in by]
        splitting = [self._column(header, "split", self.split, where)] if self.split else []
        rows = Rows(path.name, [], [], [], [], [], [], [] if lazy else None, header)
        for number, start, stop, cells in islice(lines, None if self.split else limit or None):
            place = f"{where}, line {number}"
            if any("\0" in cell for cell in cells):
                raise DataError("a NUL, which no text has", where=place, allowed="UTF-8")
            if len(cells) != len(header):
                what, allowed = "another number of columns than the header", f"{len(header)}, as the header has"
                hint = None if _table_lines.is_csv(path) or not any('"' in cell for cell in cells) else UNQUOTED
                raise DataError(what, where=place, found=len(cells), allowed=allowed, hint=hint)
            if cells == header:
                raise DataError("the header once more", where=place)
            self._check_label([cells[column] for column in of_labels], task, place)
            _check_negatives([cells[column] for column in of_texts], place)
            for i, column in enumerate(of_texts, start=1):
                if not cells[column].strip():
                    raise DataError("an empty text", where=place, allowed="at least one word")
                if rows.spans is None:
                    rows.texts.append(cells[column])
                elif _table_lines.is_csv(path):
                    rows.spans.append((start, stop - start, column))
                else:
                    before = "".join(f"{cell}\t" for cell in cells[:column])
                    rows.spans.append((start + len(before.encode()), len(cells[column].encode()), 0))
                rows.labels.extend(sys.intern(cells[column].strip()) for column in of_labels)
                rows.lines.append(number)
                rows.groups.append([cells[column].strip() for column in grouping])
                rows.ids.extend(f"{name}/{i}" if self.pair else name for name in (cells[c].strip() for c in called))
                rows.parts.extend(sys.intern(cells[column].strip()) for column in splitting)
        return rows

    def _by_split(self, rows: Rows) -> dict[str, Rows]:
        """The samples of each split that a file's column says."""
        places = places_by_split(rows.parts, lambda i: f"{_line(rows, i)}: {self.split}")
        places["train"] = places["train"][: self.limit * len(self._texts_of_line) or None]
        if not places["train"]:
            raise DataError("a split without lines", where="data.path (train)", found=rows.file)
        return {role: rows.some(of) for role, of in places.items()}

    def _stays(self, path: Path) -> bool:
        """Whether a file's texts stay there."""
        if path.name.lower().endswith((".gz", JSON_LINES)):
            if self.lazy is True:
                what = f"{'packed' if path.suffix == '.gz' else 'of JSON'}, so that no text can be found in it"
                raise DataError(what, where="data.lazy", found=path.name, allowed="a plain .tsv or .csv, or auto")
            return False
        return self.is_left(IN_MEMORY * _files.size_of(path, f"data.path: {path.name}", "bytes"))

    @property
    def _beside_texts(self) -> list[str]:
        """The columns that are read."""
        others = (self.label, *listed(self.groups), self.id, self.split)
        return [*(name for _, name in self._texts_of_line), *filter(None, others)]

    def _check_label(self, labels: Sequence[str], task: Task, place: str) -> None:
        """Raise DataError where a sample has none: an empty cell; or where nobody says that it is a name, a word that
        stands for nothing, as it does in a table."""
        missing = [label for label in labels if not label or (not self.classes and table_rows.is_missing(label))]
        if missing and not task.row_labels:
            hint = "leave such lines out" + (", or name it in data.classes, where it is a class" if missing[0] else "")
            raise DataError("no label", where=place, found=missing[0], hint=hint)

    def _column(self, header: list[str], key: str, name: str, where: str) -> int:
        if name not in header:
            hint = UNQUOTED if f'"{name}"' in header else "the first line names the columns"
            where = f"{where}, line 1, data.{key}"
            raise DataError("no such column", where=where, found=name, allowed=header[:LISTED], hint=hint)
        if header.count(name) > 1:
            raise DataError("two columns of this name", where=f"{where}, line 1, data.{key}", found=name)
        return header.index(name)

    def _classes(self, rows: dict[str, Rows], task: Task) -> Numbered:
        """Class names, and the number of each label; every label of every file is held against them."""
        names = named(self.classes, "data.classes") if self.classes else None
        if not self.label and not self.pair:
            return task.unlabelled(names, "data.classes")

        def at(role: str, i: int) -> str:
            return _line(rows[role], i)

        labels = {role: self._labels(file_rows) for role, file_rows in rows.items()}
        return numbered(task, labels, names, at, f"data.path: {Path(self.path).name}")

    def _labels(self, rows: Rows) -> AnyArray:
        """(N,) the label of each sample; of pairs and triplets see ``labels_of_rows``."""
        labels = np.array(rows.labels, dtype=object)
        if not self.pair:
            return labels
        return labels_of_rows(len(rows.lines), len(self._texts_of_line), labels if self.label else None)


def _check_negatives(texts: list[str], place: str) -> None:
    """Raise DataError where a text of a triplet is named as its anchor, or its positive, and as a negative."""
    for text in texts[2:]:
        if text in texts[:2]:
            what, allowed = "a negative that is its anchor, or its positive", "another text"
            raise DataError(what, where=place, found=text, allowed=allowed)


def _quoted(files: Iterable[Rows]) -> list[str]:
    """A note where texts of tabs seem to be quoted, as pandas does with those that hold a quotation mark."""
    texts = [text for rows in files if ".tsv" in rows.file.lower() for text in rows.texts]
    count = sum(len(text) > 2 and text[0] == text[-1] == '"' and '""' in text[1:-1] for text in texts)
    return [f"{count} texts stand in quotation marks, with such doubled inside: {UNQUOTED}"] if count else []


def _line(rows: Rows, i: int) -> str:
    """What an error calls a sample."""
    return f"data.path: {rows.file}, line {rows.lines[i]}"
