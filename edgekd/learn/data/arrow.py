"""Tables of Arrow or Parquet, as ``datasets`` saves them and its hub has them: pictures or texts, and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _arrow, _files, _shards, _vocabulary
from edgekd.learn.data._base import Dataset, Pipeline, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._encoded import Seen
from edgekd.learn.data._fitting import Fit, Interpolation
from edgekd.learn.data._lazy import Lazy, Reading
from edgekd.learn.data._pictures import Pictures, check_size, pictures
from edgekd.learn.data._split import carve_missing, check_carving, image_ops
from edgekd.learn.data._texts import IN_MEMORY, Texts
from edgekd.tasks import CLASSES, Numbered, Task, named

ENDINGS = (".arrow", ".parquet")


@dataclass(frozen=True)
class Rows:
    """The samples of a split.

    Attributes:
        columns: of ``_files.span``; the last names the row.
        labels: as they stand.
        texts: whether they are texts, and not pictures.
        keeps: see ``Lazy``.
    """

    columns: tuple[AnyArray, ...]
    labels: AnyArray | None
    texts: bool
    keeps: _arrow.Unpacked


@dataclass(frozen=True)
class Arrow(Reading):
    """A folder that ``save_to_disk`` of ``datasets`` made; or one with ``train-*.parquet``, and ``test`` and
    ``validation`` (or ``val``) alike, or with folders of these names; or a single file.

    Needs pyarrow. Files of Arrow are read where they lie; packed ones and those of Parquet are unpacked into one file
    in the cache while a build runs.

    Attributes:
        path: the folder, or a file.
        x: the column of pictures (bytes of files, or what ``datasets`` makes of pictures) or of texts.
        label: the column of labels, numbers or names; "" where the data has none.
        classes: names, in the order of their numbers; without them those that the file says, else those of the labels.
        size: height and width that every image is resized to; absent, all must have one size.
        interpolation: by which filter, as of the op ``resize``.
        fit: what becomes of another aspect: ``stretch`` it, ``crop`` to the middle, ``letterbox`` (black around).
        grey: read as one channel.
        vocab, tokenizer, length, lower: of texts, see ``Text``.
        validation, test: where there is no split of that name, the share (below 1) or count that is carved off.
        limit: use only the first so many training samples; 0: all.
        split_seed: of the carving.
        lazy, workers: see ``Reading``; texts need no workers.
    """

    path: str
    x: str = "image"
    label: str = "label"
    classes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    interpolation: Interpolation = "bilinear"
    fit: Fit = "stretch"
    grey: bool = False
    vocab: int = 8000
    tokenizer: str = ""
    length: int = 64
    lower: bool = True
    validation: float = 0.1
    test: float = 0.1
    limit: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        self.check_reading()
        plugins.check_ranges(self, vocab=(100, 1_000_000), length=(3, 16_384))
        check_size(self.size, self.interpolation, self.fit)
        check_carving({"validation": self.validation, "test": self.test}, self.limit, self.split_seed)

    def fingerprint(self) -> str:
        """SHA-256 over the fields, the content of every file and that of the vocabulary."""
        fields = repr(replace(self, path="", tokenizer="")).encode()
        if self.tokenizer:
            fields += _vocabulary.file_in(self.tokenizer).read_bytes()
        return _shards.fingerprint(Path(self.path), self._files, fields)

    def load(self, task: Task = CLASSES) -> Dataset:
        """Look through every file, decode every sample once, carve off what has no file, check everything."""
        _arrow.check_installed("data.source")
        seen, files = Seen(), self._files
        rows = {role: self._read(role, of) for role, of in files.items()}
        names, labels, notes = self._numbered(rows, files, task)
        splits = {role: self._split(role, of, seen) for role, of in rows.items()}
        splits = {role: replace(split, y=labels.get(role)).counted(role) for role, split in splits.items()}
        shares = {"validation": self.validation, "test": self.test}
        splits, carved = carve_missing(splits, shares, self.split_seed)
        notes = (*notes, *carved, *self.scanned(splits, seen.add), *seen.notes())
        train, validation, test = splits["train"], splits["validation"], splits["test"]
        ops = self._text_ops(train) if rows["train"].texts else image_ops(255.0)
        return checked(
            Dataset(train, validation, test, names, ops, notes=notes), f"data.path: {Path(self.path).name}", task
        )

    @property
    def _files(self) -> dict[str, list[Path]]:
        return _shards.by_split(self.path, ENDINGS, "*.arrow or *.parquet, such as train-00000-of-00001.parquet")

    def _read(self, role: str, files: list[Path]) -> Rows:
        """The rows of a split's files."""
        values: list[tuple[_arrow.Values, str, int]] = []
        labels: list[AnyArray] = []
        count, most, unpacked = 0, self.limit if role == "train" else 0, _arrow.Unpacked()
        for file, row, batch, mapped in self._batches(files):
            where = f"data.path: {file.name}"
            texts = _arrow.holds_texts(batch.column(0))
            values.append(
                (_arrow.values(batch.column(0), row, mapped, file, unpacked, f"{where}: {self.x}"), file.name, row)
            )
            if self.label:
                labels.append(_arrow.labels(batch.column(1), row, f"{where}: {self.label}"))
            count += len(batch)
            if most and count >= most:
                break
        if not count:
            raise DataError("an empty split", where=f"data.path ({role})", found=[file.name for file in files][:8])
        stamps = {at.file: _files.stamp_of(at.file.stat()) for at, _, _ in values}
        columns: tuple[AnyArray, ...] = (
            np.concatenate([np.full(len(at.sizes), str(at.file), object) for at, _, _ in values]),
            np.concatenate([np.full(len(at.sizes), stamps[at.file], np.int64) for at, _, _ in values]),
            np.concatenate([at.starts for at, _, _ in values]),
            np.concatenate([at.sizes for at, _, _ in values]),
            np.concatenate(
                [
                    _files.packed([f"{name}: row {first + i}" for i in range(len(at.sizes))])
                    for at, name, first in values
                ]
            ),
        )
        columns = tuple(column[: most or None] for column in columns)
        return Rows(columns, np.concatenate(labels)[: most or None] if self.label else None, texts, unpacked)

    def _batches(self, files: list[Path]) -> Iterator[tuple[Path, int, _arrow.Batch, range]]:
        """File, number of its first row, rows, and where the file is mapped."""
        for file in files:
            row = 0
            for batch, mapped in _arrow.batches(file, [self.x, *filter(None, [self.label])], f"data.path: {file.name}"):
                if len(batch):
                    yield file, row, batch, mapped
                row += len(batch)

    def _split(self, role: str, rows: Rows, seen: Seen) -> Split:
        if rows.texts:
            lazy = Lazy(Texts("", "data.path: {name}"), rows.columns, None, rows.keeps)
            size = IN_MEMORY * int(rows.columns[3].sum())
            return Split(self.held(lazy, f"data.path ({role})", lambda _: None, size), None)
        decoder = Pictures(
            "", "data.path: {name}", self.size, self.grey, interpolation=self.interpolation, fit=self.fit
        )
        return Split(pictures(decoder, rows.columns, self, f"data.path ({role})", seen.add, rows.keeps), None)

    def _text_ops(self, train: Split) -> Pipeline:
        if self.tokenizer:
            vocabulary = _vocabulary.read(self.tokenizer, self.lower)
        else:
            vocabulary = _vocabulary.learned(train.x, self.vocab, self.lower)
        return ({"op": "wordpiece", "vocabulary": vocabulary, "length": self.length, "lower": self.lower},)

    def _numbered(self, rows: dict[str, Rows], files: dict[str, list[Path]], task: Task) -> Numbered:
        """Class names, and the number of each label."""
        first = files["train"][0]
        schema = _arrow.schema(first, f"data.path: {first.name}")
        given = self.classes or _arrow.class_names(schema, self.label)
        names = named(given, "data.classes" if self.classes else f"data.path: {first.name}") if given else None
        if not self.label:
            return task.unlabelled(names, "data.classes")
        labels = {role: of.labels for role, of in rows.items() if of.labels is not None}
        return task.numbered(
            labels, names, lambda role, i: f"data.path: {_files.text(rows[role].columns[-1][i])}", "data.path"
        )
