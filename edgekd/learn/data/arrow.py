"""Tables of Arrow or Parquet, as ``datasets`` saves them: pictures, texts or sounds, and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _arrow, _files, _left_masks, _listed_labels, _masks, _shards, _tagged, _vocabulary
from edgekd.learn.data._base import Dataset, Pipeline, Split
from edgekd.learn.data._checks import check_count, checked
from edgekd.learn.data._clips import Clips, check_kind
from edgekd.learn.data._columns import of_classes
from edgekd.learn.data._encoded import Seen
from edgekd.learn.data._fitting import Fit, Interpolation
from edgekd.learn.data._lazy import Lazy, Reading
from edgekd.learn.data._pictures import Pictures, check_geometry, check_size, pictures
from edgekd.learn.data._split import carve_missing, check_carving, image_ops, listed, sound_ops
from edgekd.learn.data._table_labels import Names
from edgekd.learn.data._texts import IN_MEMORY, Texts, check_pair, labels_of_rows
from edgekd.learn.data._unpacked import Unpacked
from edgekd.tasks import CLASSES, At, Numbered, Task, named

ENDINGS = (".arrow", ".parquet")
Column = _arrow.Column


@dataclass(frozen=True)
class Rows:
    """The samples of a split.

    Attributes:
        columns: of ``_files.span``; the last names the row. Of pairs each row is two samples, one after the other, of
            triplets three or more.
        labels: as they stand, by column; none where the data has none, or where they are pictures.
        masks: columns of ``_files.span`` of labels that are pictures.
        texts: whether samples are texts, and not pictures.
        keeps: see ``Lazy``.
    """

    columns: tuple[AnyArray, ...]
    labels: list[AnyArray]
    masks: tuple[AnyArray, ...] | None
    texts: bool
    keeps: Unpacked

    def at(self, i: int) -> str:
        """What an error calls a sample."""
        return f"data.path: {_files.text(self.columns[-1][i])}"


@dataclass(frozen=True)
class Arrow(Reading):
    """A folder that ``save_to_disk`` of ``datasets`` made; or one with ``train-*.parquet``, and ``test`` and
    ``validation`` (or ``val``) alike, these words anywhere in a name, or with folders of such names; or a single file.

    Needs pyarrow. Files of Arrow are read where they lie; packed ones and those of Parquet are unpacked into one file
    in the cache while a build runs.

    Attributes:
        path: the folder, or a file.
        x: the column of pictures (bytes of files, or what ``datasets`` makes of them), of texts, of lists of words, or
            of sounds where there is a ``rate``: wav files, see ``Audio``.
        label: the column of labels: numbers, names, or lists of them (of several labels, tags, points); pictures where
            they are masks; or several columns of numbers. "" where the data has none.
        pair, negative: columns of a second text, and of a third or several, see ``Text``; or of pictures, or sounds.
        classes: names, in the order of their numbers; without them those that the file says, else those of the labels.
        values: of masks, see ``Imagefolder``.
        size: height and width that every image is resized to; absent, all must have one size.
        interpolation: by which filter, as of the op ``resize``.
        fit: what becomes of another aspect: ``stretch`` it, ``crop`` to the middle, ``letterbox`` (black around).
        grey: read as one channel.
        vocab, tokenizer, length, lower: of texts, see ``Text``.
        rate: of sounds, in Hz, each then ``length`` samples long; 0: there are none.
        validation, test: where there is no split of that name, the share (below 1) or count that is carved off.
        limit: use only the first so many training samples; 0: all.
        split_seed: of the carving.
        lazy, workers: see ``Reading``; texts need no workers.
    """

    path: str
    x: str = "image"
    label: Names = "label"
    pair: str = ""
    negative: Names = ""
    classes: tuple[str, ...] = ()
    values: tuple[int, ...] | tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    interpolation: Interpolation = "bilinear"
    fit: Fit = "stretch"
    grey: bool = False
    vocab: int = 8000
    tokenizer: str = ""
    length: int = 64
    lower: bool = True
    rate: int = 0
    validation: float = 0.1
    test: float = 0.1
    limit: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        self.check_reading()
        plugins.check_ranges(self, vocab=(100, 1_000_000))
        if self.rate:
            check_kind(self.rate, self.length)
        else:
            plugins.check_ranges(self, length=(3, 16_384))
        _masks.check_values(self.values)
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
        check_pair(task, self.label, self.x, self.pair, self.negative)
        check_geometry(task, self.size)
        seen, files = Seen(), self._files
        rows = {role: self._read(role, of, task) for role, of in files.items()}
        names, labels, notes = self._numbered(rows, files, task)
        splits = {role: self._split(role, of, seen) for role, of in rows.items()}
        splits = {role: replace(split, y=labels.get(role)).counted(role) for role, split in splits.items()}
        tags = task.dense and rows["train"].texts
        for role, y in labels.items() if tags else ():
            _tagged.check_counts(splits[role].x, y, rows[role].at)
        shares = {"validation": self.validation, "test": self.test}
        by_row = np.arange(len(splits["train"])) // len(self._samples_of_row) if self.pair else None
        by = "triplet" if self.negative else "pair"
        splits, carved = carve_missing(splits, shares, self.split_seed, by_row, by)
        splits, mask_notes = _left_masks.of_training_alone(splits, self.lazy)
        notes = (*_shards.notes(self.path, files), *notes, *carved, *mask_notes)
        notes = (*notes, *self.scanned(splits, seen.add), *seen.notes())
        ops = self._ops(splits["train"])
        if tags:
            splits = {role: _tagged.split_of_tokens(split, ops[0]) for role, split in splits.items()}
        parts = (splits["train"], splits["validation"], splits["test"])
        dataset = Dataset(*parts, names, ops, notes=notes, rate=self.rate)
        return checked(dataset, f"data.path: {Path(self.path).name}", task)

    @property
    def _files(self) -> dict[str, list[Path]]:
        return _shards.by_split(self.path, ENDINGS, "*.arrow or *.parquet, such as train-00000-of-00001.parquet")

    @property
    def _samples_of_row(self) -> list[str]:
        """The columns of a row's samples."""
        return [self.x, *filter(None, [self.pair]), *listed(self.negative)]

    def _read(self, role: str, files: list[Path], task: Task) -> Rows:
        """The rows of a split's files."""
        of_labels, of_samples = listed(self.label), self._samples_of_row
        places, masks = [_arrow.Places() for _ in of_samples], _arrow.Places()
        labels: list[list[AnyArray]] = [[] for _ in of_labels]
        count, most, unpacked, texts = 0, self.limit if role == "train" else 0, Unpacked(), False
        for part in self._parts(files, [*of_samples, *of_labels]):
            texts = _arrow.holds_texts(part.batch.column(0))
            for column, name in enumerate(of_samples):
                places[column].add(part, column, name, unpacked)
            for i, name in enumerate(of_labels):
                column = part.batch.column(len(of_samples) + i)
                if task.geometry == "mask" and _arrow.holds_files(column):
                    masks.add(part, len(of_samples) + i, name, unpacked)
                else:
                    labels[i].append(_arrow.labels(column, part.row, f"{part.where}: {name}"))
            count += len(part.batch)
            if most and count >= most:
                break
        if not count:
            raise DataError("an empty split", where=f"data.path ({role})", found=[file.name for file in files][:8])
        by_sample = zip(*(place.columns(most) for place in places), strict=True)
        columns = tuple(np.stack(of, axis=1).reshape(-1) for of in by_sample)  # a row's one behind the other
        kept = [np.concatenate(of)[: most or None] for of in labels if of]
        of_masks = masks.columns(most) if masks.parts else None
        return Rows(columns, kept, of_masks, texts, unpacked)

    def _parts(self, files: list[Path], columns: list[str]) -> Iterator[_arrow.Part]:
        for file in files:
            row = 0
            for batch, mapped in _arrow.batches(file, columns, f"data.path: {file.name}"):
                if len(batch):
                    yield _arrow.Part(file, row, batch, mapped)
                row += len(batch)

    def _split(self, role: str, rows: Rows, seen: Seen) -> Split:
        if rows.texts:
            lazy = Lazy(Texts("", "data.path: {name}"), rows.columns, None, rows.keeps)
            size = IN_MEMORY * int(rows.columns[3].sum())
            return Split(self.held(lazy, f"data.path ({role})", lambda _: None, size), None)
        if self.rate:
            clips = Lazy(Clips("", "data.path: ", self.rate, self.length), rows.columns, self.pool, rows.keeps)
            return Split(self.held(clips, f"data.path ({role})", lambda _: None), None)
        decoder = Pictures(
            "", "data.path: {name}", self.size, self.grey, interpolation=self.interpolation, fit=self.fit
        )
        return Split(pictures(decoder, rows.columns, self, f"data.path ({role})", seen.add, rows.keeps), None)

    def _ops(self, train: Split) -> Pipeline:
        if train.x.dtype.kind != "O":
            return sound_ops() if self.rate else image_ops(255.0)
        if self.tokenizer:
            vocabulary = _vocabulary.read(self.tokenizer, self.lower)
        else:
            vocabulary = _vocabulary.learned(train.x, self.vocab, self.lower)
        return ({"op": "wordpiece", "vocabulary": vocabulary, "length": self.length, "lower": self.lower},)

    def _numbered(self, rows: dict[str, Rows], files: dict[str, list[Path]], task: Task) -> Numbered:
        """Class names, and the number of each label."""
        first = files["train"][0]
        schema = _arrow.schema(first, f"data.path: {first.name}")
        columns = listed(self.label)
        of_file = _arrow.class_names(schema, columns[0]) if len(columns) == 1 else ()  # of several each has its own
        given = self.classes or of_file
        names = named(given, "data.classes" if self.classes else f"data.path: {first.name}") if given else None
        if not self.label and not self.pair:
            return task.unlabelled(names, "data.classes")

        _masks.check_used(self.values, rows["train"].masks)

        def at(role: str, i: int) -> str:
            return rows[role].at(i)

        labels = {role: self._labels(of, role, task, at) for role, of in rows.items()}
        labels, read_as = of_classes(_listed_labels.taken(labels, names, task, at), task)
        for role, y in labels.items():
            check_count(rows[role].columns[0], y, f"data.path ({role}): label", task)
        known = _left_masks.numbered(labels, names or self._names_of(task), task, at, "data.path")
        return known._replace(notes=(*read_as, *known.notes))

    def _names_of(self, task: Task) -> tuple[str, ...] | None:
        """What several columns of labels are called, or the values of masks; None: as the labels tell."""
        if len(of := listed(self.label)) > 1:
            return named(list(of), "data.label")
        return _masks.names_of(self.values, task)

    def _labels(self, rows: Rows, role: str, task: Task, at: At) -> AnyArray:
        """Of a split as they stand; of pairs and triplets see ``labels_of_rows``."""
        if rows.masks is not None:
            fitting = _masks.Fitting(self.values, task.unlabelled_pixel, self.size, self.fit)
            pairs, where = self._masked(rows, rows.masks), f"data.path ({role}): {self.label}"
            return _left_masks.read(fitting, pairs, len(rows.columns[0]), role, where, self.is_left)
        labels = _listed_labels.side_by_side(rows.labels, listed(self.label), at, role) if rows.labels else None
        if labels is not None and not self.pair:
            return labels
        scores = None if labels is None else np.repeat(labels, 2).astype(object)
        return labels_of_rows(len(rows.columns[0]), len(self._samples_of_row), scores)

    def _masked(self, rows: Rows, masks: tuple[AnyArray, ...]) -> Iterator[_masks.Pair]:
        """Every picture with its mask."""
        for i, (*picture, name) in enumerate(zip(*(column.tolist() for column in rows.columns), strict=True)):
            place, mask = f"data.path: {_files.text(name)}", [column[i] for column in masks[:-1]]
            at = f"{place}: {self.label}"
            yield _masks.Pair(_files.span("", picture, place), _files.span("", mask, at), place, at)


def columns_of(path: str) -> list[_arrow.Column]:
    """What the columns of a folder's first training file hold; raises as ``_arrow.columns_of`` and ``by_split`` do."""
    first = Arrow(path)._files["train"][0]
    return _arrow.columns_of(first, f"data.path: {first.name}")
