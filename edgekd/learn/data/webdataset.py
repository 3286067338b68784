"""Pictures in tar files (WebDataset's shards): each sample is a picture and its label, one file behind the other."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _folders, _left_masks, _listed_labels, _masks, _shards
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import check_count, checked
from edgekd.learn.data._columns import of_classes
from edgekd.learn.data._encoded import Seen
from edgekd.learn.data._fitting import Fit, Interpolation
from edgekd.learn.data._lazy import Reading
from edgekd.learn.data._pictures import Pictures, check_geometry, check_size, pictures
from edgekd.learn.data._shards import Part
from edgekd.learn.data._split import carve_missing, check_carving, image_ops
from edgekd.learn.data.imagefolder import ENDINGS
from edgekd.tasks import CLASSES, Numbered, Task, named

JSON = "json."
Label = str | int | float | list[object]


@dataclass
class Rows:
    """The samples of a split, an entry each: shard, its stamp, the picture's first byte and how many, name, label; of a
    label that is a picture its first byte and how many.
    """

    files: list[str] = field(default_factory=list)
    stamps: array[int] = field(default_factory=lambda: array("q"))
    starts: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    names: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    masks: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Webdataset(Reading):
    """``path/train-0000.tar``, and ``test`` and ``validation`` (or ``val``) alike, these words anywhere in the name; or
    ``path/train/*.tar``; or all for training, where no name holds such a word.

    Nothing is unpacked to the disk. Pictures are read as a person sees them, see ``_encoded.py``.

    Attributes:
        path: the folder of shards, plain tar files.
        image: the ending of a sample's picture, such as ``jpg``; "": that of a picture, of which a sample has one.
        label: the ending of a sample's label, a number or a name as text, or a picture where it is a mask; or ``json.``
            and the key in a sample's JSON file of a number, a name or a list of such; "" where the data has none.
        classes: names, in the order of their numbers; without them those of the labels. See ``_classes.py``.
        values: of masks, see ``Imagefolder``.
        size: height and width that every image is resized to; absent, all must have one size.
        interpolation: by which filter, as of the op ``resize``.
        fit: what becomes of another aspect: ``stretch`` it, ``crop`` to the middle, ``letterbox`` (black around).
        grey: read as one channel.
        validation, test: where there are no shards of that name, the share (below 1) or count that is carved off.
        limit: use only the first so many training samples; 0: all.
        split_seed: of the carving.
        lazy, workers: see ``Reading``.
    """

    path: str
    image: str = ""
    label: str = "cls"
    classes: tuple[str, ...] = ()
    values: tuple[int, ...] | tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    interpolation: Interpolation = "bilinear"
    fit: Fit = "stretch"
    grey: bool = False
    validation: float = 0.1
    test: float = 0.1
    limit: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        self.check_reading()
        _masks.check_values(self.values)
        check_size(self.size, self.interpolation, self.fit)
        check_carving({"validation": self.validation, "test": self.test}, self.limit, self.split_seed)

    def fingerprint(self) -> str:
        """SHA-256 over the fields, and the name and content of every shard."""
        return _shards.fingerprint(_folders.root_of(self.path), self._shards, repr(replace(self, path="")).encode())

    def load(self, task: Task = CLASSES) -> Dataset:
        """Look through every shard, decode every picture once, carve off what has no shards, check everything."""
        seen, left_out = Seen(), Counter[str]()
        check_geometry(task, self.size)
        shards = self._shards
        rows = {role: self._read(role, of, left_out, task) for role, of in shards.items()}
        names, labels, notes = self._numbered(rows, task)
        splits = {}
        for role, of in rows.items():
            decoder = Pictures(
                self.path,
                "data.path: {file}: {name}",
                self.size,
                self.grey,
                interpolation=self.interpolation,
                fit=self.fit,
            )
            numbers = (np.array(column, np.int64) for column in (of.stamps, of.starts, of.sizes))
            columns = (np.array(of.files, object), *numbers, _files.packed(of.names))
            x = pictures(decoder, columns, self, f"data.path ({role})", seen.add)
            splits[role] = Split(x, labels.get(role), ids=columns[-1])
        shares = {"validation": self.validation, "test": self.test}
        splits, carved = carve_missing(splits, shares, self.split_seed)
        splits, mask_notes = _left_masks.of_training_alone(splits, self.lazy)
        if left_out:
            listed = ", ".join(f"{count:,} .{ending}" for ending, count in left_out.most_common(8))
            notes = (*notes, f"left out of the shards, as neither picture nor label: {listed}")
        notes = (*_shards.notes(self.path, shards), *notes, *carved, *mask_notes)
        notes = (*notes, *self.scanned(splits, seen.add), *seen.notes())
        dataset = Dataset(splits["train"], splits["validation"], splits["test"], names, image_ops(255.0), notes=notes)
        return checked(dataset, f"data.path: {Path(self.path).name}", task)

    @property
    def _shards(self) -> dict[str, list[Path]]:
        return _shards.by_split(self.path, (".tar",), "*.tar, such as train-0000.tar")

    def _read(self, role: str, shards: list[Path], left_out: Counter[str], task: Task) -> Rows:
        """The samples of a split's shards."""
        rows, root, masks = Rows(), Path(self.path), self._are_masks(task)
        for shard in shards:
            name = shard.relative_to(root).as_posix()
            stamp = _files.stamp_of(shard.stat())
            with shard.open("rb") as file:
                for key, parts in _shards.samples(shard, f"data.path: {name}"):
                    if role == "train" and self.limit and len(rows.names) == self.limit:
                        return rows
                    where = f"data.path: {name}: {key}"
                    pictures = {ending: part for ending, part in parts.items() if not masks or ending != self.label}
                    picture = self._picture(pictures, where)
                    rows.files.append(name)
                    rows.stamps.append(stamp)
                    rows.starts.append(parts[picture].start)
                    rows.sizes.append(parts[picture].size)
                    rows.names.append(key)
                    if masks:
                        rows.masks.append(self._part(parts, self.label, where))
                    elif self.label:
                        rows.labels.append(self._label(file, parts, where))
                    read = {picture, "json" if self.label.startswith(JSON) else self.label}
                    left_out.update(ending for ending in parts if ending not in read)
        if not rows.names:
            raise DataError("an empty split", where=f"data.path ({role})", found=[shard.name for shard in shards][:8])
        return rows

    def _picture(self, parts: dict[str, Part], where: str) -> str:
        """The ending of a sample's picture."""
        if self.image:
            if self.image.lower() not in parts:
                raise DataError("a sample without a picture", where=where, found=sorted(parts), allowed=self.image)
            return self.image.lower()
        endings = [ending for ending in parts if f".{ending.rpartition('.')[2]}" in ENDINGS]
        if not endings:
            allowed = "jpg, png, webp, ...; data.image says which"
            raise DataError("a sample without a picture", where=where, found=sorted(parts), allowed=allowed)
        if len(endings) > 1:
            allowed = f"data.image = {endings[0]!r}, or another one"
            raise DataError("a sample of several pictures", where=where, found=endings, allowed=allowed)
        return endings[0]

    def _are_masks(self, task: Task) -> bool:
        """Whether labels are pictures."""
        return task.geometry == "mask" and f".{self.label.rpartition('.')[2]}" in ENDINGS

    def _part(self, parts: dict[str, Part], ending: str, where: str) -> Part:
        if ending not in parts:
            hint = 'data.label = "" where the data has none'
            raise DataError("a sample without a label", where=where, found=sorted(parts), allowed=ending, hint=hint)
        return parts[ending]

    def _label(self, file: IO[bytes], parts: dict[str, Part], where: str) -> Label:
        ending = "json" if self.label.startswith(JSON) else self.label
        part = self._part(parts, ending, where)
        data, where = _shards.small(file, part, where), f"{where}.{ending}"
        try:
            text = data.decode()
            value = json.loads(text)[self.label.removeprefix(JSON)] if ending == "json" else text.strip()
        except (ValueError, RecursionError, TypeError) as err:
            raise DataError(f"a label that can't be read ({err})", where=where, found=data[:40]) from err
        except KeyError as err:
            raise DataError("no such key", where=where, found=self.label, allowed=list(json.loads(text))) from err
        if isinstance(value, bool) or not isinstance(value, int | float | str | list) or value == "":
            raise DataError("no label", where=where, found=value, allowed="a number, a name, or a list of them")
        return value

    def _numbered(self, rows: dict[str, Rows], task: Task) -> Numbered:
        """Class names, and the number of each label."""
        names = named(self.classes, "data.classes") if self.classes else None
        if not self.label:
            return task.unlabelled(names, "data.classes")

        _masks.check_used(self.values, rows["train"].masks)

        def at(role: str, i: int) -> str:
            return f"data.path: {rows[role].files[i]}: {rows[role].names[i]}"

        labels = {role: self._labels(of, role, task) for role, of in rows.items()}
        labels, read_as = of_classes(_listed_labels.taken(labels, names, task, at), task)
        for role, y in labels.items():
            check_count(rows[role].names, y, f"data.path ({role}): label", task)
        names = names or _masks.names_of(self.values, task)
        known = _left_masks.numbered(labels, names, task, at, f"data.path: {Path(self.path).name}")
        return known._replace(notes=(*read_as, *known.notes))

    def _labels(self, rows: Rows, role: str, task: Task) -> AnyArray:
        """(N,) texts, numbers or lists, as they stand; (N, H, W) masks."""
        if rows.masks:
            fitting = _masks.Fitting(self.values, task.unlabelled_pixel, self.size, self.fit)
            where = f"data.path: {rows.files[0]}"
            return _left_masks.read(fitting, self._masked(rows), len(rows.names), role, where, self.is_left)
        if {*map(type, rows.labels)} in ({float}, {int, float}):
            return np.array(rows.labels, np.float64)
        labels = np.empty(len(rows.labels), object)
        labels[:] = [label if isinstance(label, list) else str(label) for label in rows.labels]
        return labels

    def _masked(self, rows: Rows) -> Iterator[_masks.Pair]:
        """Every picture with its mask."""
        for i, (file, name, mask) in enumerate(zip(rows.files, rows.names, rows.masks, strict=True)):
            place, stamp = f"data.path: {file}: {name}", rows.stamps[i]
            at = f"{place}.{self.label}"
            picture = _files.span(self.path, (file, stamp, rows.starts[i], rows.sizes[i]), place)
            yield _masks.Pair(picture, _files.span(self.path, (file, stamp, *mask), at), place, at)
