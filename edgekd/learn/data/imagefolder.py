"""A folder of images: one folder a class."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from edgekd.learn.data import _folders
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._encoded import Seen
from edgekd.learn.data._fitting import Fit, Interpolation
from edgekd.learn.data._folders import Labelled
from edgekd.learn.data._lazy import Reading
from edgekd.learn.data._pictures import Pictures, check_size, pictures
from edgekd.learn.data._split import check_carving, image_ops

ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".pbm", ".pgm", ".ppm", ".pnm")
)


@dataclass(frozen=True)
class Imagefolder(Reading):
    """``path/train/<class>/*.jpg``, and ``test`` and ``validation`` (or ``val``) alike; or ``path/<class>/*.jpg``.

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
        limit: use only so many training images, spread over the classes; 0: all.
        split_seed: of the carving.
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

    def __post_init__(self) -> None:
        check_size(self.size, self.interpolation, self.fit)
        self.check_reading()
        check_carving({"validation": self.validation, "test": self.test}, self.limit, self.split_seed)

    def fingerprint(self) -> str:
        """SHA-256 over the fields, and the name and content of every image."""
        return _folders.fingerprint(self.path, ENDINGS, repr(replace(self, path="")))

    def load(self) -> Dataset:
        """Read every image, carve off what has no folder, check everything."""
        shares, seen = {"validation": self.validation, "test": self.test}, Seen()
        reader = functools.partial(self._read, seen)
        splits, classes, notes = _folders.read(
            self.path, ENDINGS, reader, shares, self.limit, self.split_seed, self.groups
        )
        notes = (*notes, *self.scanned(splits, seen.add), *seen.notes())
        dataset = Dataset(splits["train"], splits["validation"], splits["test"], classes, image_ops(255.0), notes=notes)
        return checked(dataset, f"data.path: {Path(self.path).name}")

    def _read(self, seen: Seen, files: Labelled, name: str) -> Split:
        decoder = Pictures(
            self.path,
            f"data.path ({name}): {{name}}",
            self.size,
            self.grey,
            interpolation=self.interpolation,
            fit=self.fit,
        )
        columns = _folders.columns(self.path, files.names)
        x = pictures(decoder, columns, self, f"data.path ({name})", seen.add)
        return Split(x, files.labels)
