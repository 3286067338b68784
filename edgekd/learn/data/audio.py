"""Sounds of one length: a folder of wav files, one folder a class, or int16 samples in one ``.npz`` file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.errors import DataError
from edgekd.learn.data import _archive, _file_table, _folders
from edgekd.learn.data._archive import Arrays
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import check_count, checked
from edgekd.learn.data._clips import Clips, check_kind, check_rate, put
from edgekd.learn.data._file_table import Packed, Wanted
from edgekd.learn.data._folders import Carving, Labelled
from edgekd.learn.data._lazy import Lazy, Reading
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._role_files import fingerprint
from edgekd.learn.data._split import ROLES, Groups, carve_missing, check_carving, joined, listed, sound_ops
from edgekd.tasks import CLASSES, Task, named

ENDINGS = frozenset({".wav"})
SPLITS = ("train", "validation", "test")
FIELDS = ("samples", "offsets", "labels", "classes", "rates", "split")
OPTIONAL = {"classes": "class_names", "rates": "rate"}  # arrays of these names may be absent
Read = tuple[dict[str, Split], tuple[str, ...], tuple[str, ...]]  # splits, class names, notes


@dataclass(frozen=True)
class Audio(Reading):
    """Clips as (N, length) int16, 16-bit PCM of one channel.

    Longer clips are cut, their middle stays; shorter ones get zeros at the end. Silence (zeros) is a clip like any
    other. Nothing is resampled, mixed down or converted: a clip of another kind is an error that names it.

    Attributes:
        path: ``path/train/<class>/*.wav``, and ``test`` and ``validation`` (or ``val``) alike; or
            ``path/<class>/*.wav``; or an ``.npz`` file.
        rate: the sample rate in Hz that every clip must have, 1000 to 384000.
        length: of a clip in samples, 1 to 10 million.
        samples: array of an ``.npz``: all clips one after another, (S,) int16.
        offsets: clip i is ``samples[offsets[i]:offsets[i + 1]]``, (N + 1,).
        labels: (N,) numbers or names of classes, see ``_classes.py``; an empty name where the data has none.
        classes: the class names; an empty name, or no ``class_names`` in the file, numbers them.
        rates: the sample rate: one number, or one a clip; an empty name, or no ``rate`` in the file: as ``rate`` says.
        split: (N,) 0 train, 1 validation, 2 test, or their names (val, valid, dev, too); an empty name: both are carved
            off.
        groups: of an ``.npz``, the array that names a group (a speaker) for each clip, or several; of a folder, the
            text that ends the speaker's name in a file's, such as ``_nohash_``. A group that is carved is never split.
        validation, test: where the data has no such split, the share (below 1) or count that is carved off.
        limit: use only so many training clips, of a folder spread over the classes, of an .npz the first; 0: all.
        split_seed: of the carving.
        metadata, file: of a folder, the table of labels and its column of files, see ``Imagefolder``; then ``labels``
            is its column of labels, and ``split`` its column of splits.
        lazy, workers: of a folder, see ``Reading``; an .npz is held in memory.
    """

    path: str
    rate: int = 16_000
    length: int = 16_000
    samples: str = "samples"
    offsets: str = "offsets"
    labels: str = "labels"
    classes: str = "class_names"
    rates: str = "rate"
    split: str = ""
    groups: Groups = ""
    validation: float = 0.1
    test: float = 0.1
    limit: int = 0
    split_seed: int = 0
    metadata: str = ""
    file: str = "file_name"

    def __post_init__(self) -> None:
        check_kind(self.rate, self.length)
        self.check_reading()
        check_carving({"validation": self.validation, "test": self.test}, self.limit, self.split_seed)

    def fingerprint(self) -> str:
        """SHA-256 over the fields and every file."""
        if Path(self.path).is_dir():
            clips = _folders.fingerprint(self.path, ENDINGS, repr(replace(self, path="")))
            return fingerprint(clips, _file_table.tables(self.path, self.metadata)) if self.metadata else clips
        return _archive.fingerprint(self.path, repr(replace(self, path="")))

    def load(self, task: Task = CLASSES) -> Dataset:
        """Read every clip, carve off what has no split of its own, check everything."""
        by_folder = self._table if self.metadata else self._folder
        splits, classes, notes = (by_folder if Path(self.path).is_dir() else self._archive)(task)
        notes = (*notes, *self.scanned(splits, lambda _: None))
        parts = (splits["train"], splits["validation"], splits["test"])
        dataset = Dataset(*parts, classes, sound_ops(), rate=self.rate, notes=notes)
        return checked(dataset, f"data.path: {Path(self.path).name}", task)

    def _folder(self, task: Task) -> Read:
        _folders.check_task(task, "data.metadata, which says the labels of each clip; or an .npz with labels")
        return _folders.read(self.path, ENDINGS, self._read, self._carving, task)

    def _table(self, task: Task) -> Read:
        wanted = Wanted(self.metadata, self.file, self.labels, self.split, ())
        return _file_table.read(self.path, ENDINGS, wanted, task, self._clips_of, self._carving)

    @property
    def _carving(self) -> Carving:
        return Carving(self._shares, self.limit, self.split_seed, self._group)

    @property
    def _group(self) -> str:
        if len(by := listed(self.groups)) > 1:
            raise DataError("of a folder, one text", where="data.groups", found=by)
        return "".join(by)

    @property
    def _shares(self) -> dict[str, float]:
        return {"validation": self.validation, "test": self.test}

    def _read(self, files: Labelled, name: str) -> Split:
        return Split(self._clips_of(files.names, name), files.labels)

    def _clips_of(self, files: Packed, name: str) -> Samples:
        decoder = Clips(self.path, f"data.path ({name}): ", self.rate, self.length)
        lazy = Lazy(decoder, _folders.columns(self.path, files), self.pool)
        return self.held(lazy, f"data.path ({name})", lambda _: None)

    def _archive(self, task: Task) -> Read:
        if self.metadata:
            raise DataError("an .npz holds its labels", where="data.metadata", found=self.metadata, allowed="a folder")
        if self.lazy is True:
            raise DataError("an .npz is held in memory", where="data.lazy", allowed="a folder of wav files, or auto")
        arrays = _archive.read(self.path, self._names)
        whole, classes, notes = self._clips(arrays, task)
        member = self._member(arrays, len(whole))
        index = {name: np.flatnonzero(member == i) for i, name in enumerate(SPLITS)}
        index["train"] = index["train"][: self.limit or None]
        kept = SPLITS if self.split else ("train",)
        splits = {name: whole.counted().some(index[name]) for name in kept}
        by = listed(self.groups)
        groups = joined([arrays[name] for name in by], len(whole), "data.groups")
        groups = None if groups is None else groups[index["train"]]
        splits, carved = carve_missing(splits, self._shares, self.split_seed, groups, " and ".join(by))
        return splits, classes, (*notes, *carved)

    def _names(self, known: list[str]) -> list[tuple[str, str]]:
        """(field, array) pairs to read."""
        pairs = [(field, getattr(self, field)) for field in FIELDS if getattr(self, field)]
        pairs += [("groups", name) for name in listed(self.groups)]
        return [(field, name) for field, name in pairs if name in known or OPTIONAL.get(field) != name]

    def _clips(self, arrays: Arrays, task: Task) -> tuple[Split, tuple[str, ...], tuple[str, ...]]:
        """Every clip, the class names, and notes."""
        samples, offsets = arrays[self.samples], arrays[self.offsets]
        if samples.dtype != np.int16 or samples.ndim != 1:
            where, layout = f"data.{self.samples}", f"{samples.dtype} {samples.shape}"
            raise DataError("clips are a row of samples", where=where, found=layout, allowed="int16 (S,)")
        good = offsets.ndim == 1 and len(offsets) >= 2 and offsets.dtype.kind in "iu"
        if not good or offsets[0] < 0 or offsets[-1] > len(samples) or bool((offsets[1:] < offsets[:-1]).any()):
            layout = f"{offsets.dtype} {offsets.shape}"
            allowed = f"whole numbers that rise from 0 to at most {len(samples)}"
            raise DataError("offsets that don't fit", where=f"data.{self.offsets}", found=layout, allowed=allowed)
        count = len(offsets) - 1
        self._check_rates(arrays, count)
        if (empty := np.flatnonzero(offsets[1:] == offsets[:-1])).size:
            raise DataError("an empty clip", where=f"data.{self.samples}: clip {empty[0]}", found="0 samples")
        x = self._room(count, f"data.{self.offsets}")
        for i in range(count):
            put(samples[int(offsets[i]) : int(offsets[i + 1])], x[i], f"data.{self.samples}: clip {i}")
        names = named(arrays[self.classes], f"data.{self.classes}") if self.classes in arrays else None
        if not self.labels:
            if names is None:
                raise DataError("without labels the class names are needed", where="data.classes", found=self.classes)
            return Split(x, None), names, ()
        place = f"data.{self.labels}"
        check_count(x, arrays[self.labels], place, task)
        numbering = numbered(task, {"train": arrays[self.labels]}, names, lambda _, i: f"{place}: clip {i}", place)
        return Split(x, numbering.labels["train"]), numbering.names, numbering.notes

    def _room(self, count: int, where: str) -> NDArray[np.int16]:
        """Silence, for so many clips."""
        limits.check("bytes", 2 * count * self.length, "more than likely is meant", where)
        return np.zeros((count, self.length), np.int16)

    def _named_member(self, member: AnyArray) -> NDArray[np.int64]:
        """Numbers of splits from their names."""
        names, inverse = np.unique(member, return_inverse=True)
        roles = [ROLES.get(name.lower()) for name in names.tolist()]
        if None in roles:
            i = roles.index(None)
            where = f"data.{self.split}: clip {int(np.flatnonzero(inverse == i)[0])}"
            raise DataError("not a split's name", where=where, found=str(names[i]), allowed=ROLES)
        return np.array([SPLITS.index(role) for role in roles if role is not None], np.int64)[inverse.reshape(-1)]

    def _check_rates(self, arrays: Arrays, count: int) -> None:
        rates = arrays.get(self.rates)
        if rates is None:
            return
        if rates.dtype.kind not in "iu" or rates.shape not in ((), (1,), (count,)):
            where, layout = f"data.{self.rates}", f"{rates.dtype} {rates.shape}"
            allowed = f"a whole number, or ({count},) of them"
            raise DataError("one sample rate, or one a clip", where=where, found=layout, allowed=allowed)
        if (wrong := np.flatnonzero(rates.reshape(-1) != self.rate)).size:
            at = f": clip {wrong[0]}" if rates.size > 1 else ""
            check_rate(int(rates.reshape(-1)[wrong[0]]), self.rate, f"data.{self.rates}{at}")

    def _member(self, arrays: Arrays, count: int) -> NDArray[np.int64]:
        if not self.split:
            return np.zeros(count, np.int64)
        member = arrays[self.split]
        if member.dtype.kind == "U" and member.shape == (count,):
            return self._named_member(member)
        if member.shape != (count,) or member.dtype.kind not in "iu" or not np.isin(member, (0, 1, 2)).all():
            layout = f"{member.dtype} {member.shape}"
            allowed = f"({count},) of 0 train, 1 validation, 2 test"
            raise DataError("not one split for each clip", where=f"data.{self.split}", found=layout, allowed=allowed)
        return member.astype(np.int64)
