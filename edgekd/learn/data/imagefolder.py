"""A folder of images: one folder a class, or a table that says the labels of each."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from edgekd.base.arrays import Samples
from edgekd.base.errors import DataError
from edgekd.learn.data import _file_table, _folders, _left_masks, _mask_files, _masks
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._encoded import Seen
from edgekd.learn.data._file_table import Packed, Wanted
from edgekd.learn.data._fitting import Fit, Interpolation
from edgekd.learn.data._folders import Carving, Labelled
from edgekd.learn.data._lazy import Reading
from edgekd.learn.data._pictures import Pictures, check_geometry, check_size, pictures
from edgekd.learn.data._role_files import fingerprint
from edgekd.learn.data._split import check_carving, image_ops
from edgekd.learn.data._table_labels import Names
from edgekd.tasks import CLASSES, Task

ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".pbm", ".pgm", ".ppm", ".pnm")
)
MASKS = _mask_files.USUAL
Read = tuple[dict[str, Split], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Imagefolder(Reading):
    """``path/train/<class>/*.jpg``, and ``test`` and ``validation`` (or ``val``) alike; or ``path/<class>/*.jpg``.

    Where the task tells what is not normal, ``task.normal`` is how the folder of normal pictures is called.

    With ``metadata``, a table, folders are no classes: ``path/train/**`` and so on, or ``path/**``, and a row a picture
    says its labels, of any task whose labels are of single samples. Of several heads each has its own ``label``.

    With ``masks``, the label of a picture is a file in a folder of that name: ``train/images/a.jpg`` (or
    ``train/a.jpg``) and ``train/masks/a.png``, ``images/train/a.jpg`` and ``masks/train/a.png``, ``test/cut/a.png`` and
    ``ground_truth/cut/a.png``. Where pictures lie in a folder that is called ``images``, ``JPEGImages`` or so, folders
    of other masks beside it are left out. Masks are made one size with their pictures; where those of training are not
    to be held in memory, they are decoded once, into a file beside the cache.

    Pictures are read as a person sees them (see ``_encoded.py``): turned as their EXIF says, the first of several
    frames, what is transparent on white, 16-bit greys scaled to 0..255.

    Attributes:
        path: the folder. Links are followed; hidden files and folders are left out, and counted in a note.
        size: height and width that every image is resized to; absent, all must have one size.
        interpolation: by which filter, as of the op ``resize``.
        fit: what becomes of another aspect: ``stretch`` it, ``crop`` to the middle, ``letterbox`` (black around).
        grey: read as one channel.
        validation, test: where there is no folder of that name, the share (below 1) or count that is carved off.
        groups: the text that ends, in a file's name, what names its group (a patient, a video), such as ``_``; a group
            is never split by carving.
        limit: use only so many training images, spread over the classes, of metadata the first; 0: all.
        split_seed: of the carving.
        metadata: a path from ``path`` to the table of labels, such as ``metadata.csv``: ``.csv`` or ``.tsv``, either
            also as ``.gz``, ``.jsonl`` or ``.parquet``; or the name of one in the folder of each split. "": none.
        file: its column of the pictures' paths from ``path``, or from the split's folder where that has its own table.
        label: its column of labels, names or numbers as the task takes them; or several, a number in each: values, or
            1 and 0 of several labels. "" where the data has none.
        split: its column that says each row's split: train, validation (or val, dev) or test; "": the folders do.
        classes: names, in the order of their numbers; without them those of the labels, or of their columns.
        masks: what the folders of masks are called. "": there are none.
        endings: what the names of a picture and of its mask end in, before the dot, such as ``["", "_mask"]``.
        values: the numbers in masks, or the colours as ``#rrggbb``, of the classes, in their order; pixels of others
            have no label. (): a pixel's number is its class.
        lazy, workers: see ``Reading``.
    """

    path: str
    size: tuple[int, int] | None = None
    interpolation: Interpolation = "bilinear"
    fit: Fit = "stretch"
    grey: bool = False
    validation: float = 0.1
    test: float = 0.1
    groups: str = ""
    limit: int = 0
    split_seed: int = 0
    metadata: str = ""
    file: str = "file_name"
    label: Names = "label"
    split: str = ""
    classes: tuple[str, ...] = ()
    masks: str = ""
    endings: tuple[str, str] = ("", "")
    values: tuple[int, ...] | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_size(self.size, self.interpolation, self.fit)
        self.check_reading()
        check_carving(self._shares, self.limit, self.split_seed)
        of_table = {"file": self.file != "file_name", "label": self.label != "label"}
        of_table |= {"split": bool(self.split), "classes": bool(self.classes) and not self.masks}
        if not self.metadata and (unread := [key for key, is_said in of_table.items() if is_said]):
            raise ValueError(f"{unread[0]}: allowed is none without metadata, where each folder is a class")
        if not self.masks and (self.values or any(self.endings)):
            raise ValueError(f"{'values' if self.values else 'endings'}: allowed is none without masks")
        if self.masks and self.metadata:
            raise ValueError("masks: allowed is none beside metadata, whose labels are others")
        if "/" in self.masks:
            raise ValueError("masks: allowed is the name of a folder, not a path")
        _masks.check_values(self.values)

    def fingerprint(self) -> str:
        """SHA-256 over the fields, the name and content of every image, and the tables."""
        images = _folders.fingerprint(self.path, ENDINGS, repr(replace(self, path="")))
        if not self.metadata:
            return images
        return fingerprint(images, _file_table.tables(self.path, self.metadata))

    def load(self, task: Task = CLASSES) -> Dataset:
        """Read every image, carve off what has no folder, check everything."""
        seen = Seen()
        by = self._by_table if self.metadata else self._by_masks if self.masks else self._by_class
        splits, classes, notes = by(task, seen)
        notes = (*notes, *self.scanned(splits, seen.add), *seen.notes())
        dataset = Dataset(splits["train"], splits["validation"], splits["test"], classes, image_ops(255.0), notes=notes)
        return checked(dataset, f"data.path: {Path(self.path).name}", task)

    def _by_class(self, task: Task, seen: Seen) -> Read:
        _folders.check_task(task, "data.metadata, which says the labels of each picture, or data.masks")
        splits, names, notes = _folders.read(
            self.path, ENDINGS, functools.partial(self._read, seen), self._carving, task
        )
        return splits, names, (*_mask_files.as_classes(names), *notes)

    def _by_masks(self, task: Task, seen: Seen) -> Read:
        if task.geometry != "mask":
            raise DataError("labels that the task does not take", where="data.masks", found=self.masks)
        wanted = _mask_files.Wanted(
            self.masks, self.endings, self.values, self.classes, self.size, self.fit, self.is_left
        )
        splits, names, notes = _mask_files.read(
            self.path, ENDINGS, wanted, task, functools.partial(self._pictures, seen), self._carving
        )
        splits, mask_notes = _left_masks.of_training_alone(splits, self.lazy)
        return splits, names, (*notes, *mask_notes)

    def _by_table(self, task: Task, seen: Seen) -> Read:
        check_geometry(task, self.size, masks=False)
        wanted = Wanted(self.metadata, self.file, self.label, self.split, self.classes)
        return _file_table.read(
            self.path, ENDINGS, wanted, task, functools.partial(self._pictures, seen), self._carving
        )

    @property
    def _carving(self) -> Carving:
        return Carving(self._shares, self.limit, self.split_seed, self.groups)

    @property
    def _shares(self) -> dict[str, float]:
        return {"validation": self.validation, "test": self.test}

    def _read(self, seen: Seen, files: Labelled, name: str) -> Split:
        return Split(self._pictures(seen, files.names, name), files.labels)

    def _pictures(self, seen: Seen, files: Packed, name: str) -> Samples:
        decoder = Pictures(
            self.path,
            f"data.path ({name}): {{name}}",
            self.size,
            self.grey,
            interpolation=self.interpolation,
            fit=self.fit,
        )
        columns = _folders.columns(self.path, files)
        return pictures(decoder, columns, self, f"data.path ({name})", seen.add)
