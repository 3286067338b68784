"""A folder of images: one folder a class."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _folders
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._decoding import Decoded, Item
from edgekd.learn.data._encoded import Seen, open_image
from edgekd.learn.data._folders import Labelled, place_of
from edgekd.learn.data._lazy import Lazy, Reading
from edgekd.learn.data._split import check_carving, image_ops

ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".pbm", ".pgm", ".ppm", ".pnm")
)


@dataclass(frozen=True)
class Pictures:
    """A ``Decoder`` of the pictures of a folder.

    Attributes:
        root: the folder.
        split: for errors.
        size, grey: see ``Imagefolder``.
        shape: of each, (H, W, C).
    """

    root: str
    split: str
    size: Sequence[int] | None
    grey: bool
    shape: Sequence[int]
    dtype: ClassVar[str] = "uint8"

    def decoded(self, items: Sequence[Item]) -> Decoded:
        """(N, H, W, C), and what ``Seen`` counts."""
        images, seen = np.empty((len(items), *self.shape), np.uint8), Seen()
        for i, item in enumerate(items):
            image = self.one(item, seen)
            if image.shape != images.shape[1:]:
                raise DataError(
                    "an image of another size",
                    where=self.place(item),
                    found=image.shape[:2],
                    allowed=str(images.shape[1:3]),
                    hint="give data.size = [height, width]",
                )
            images[i] = image
        return images, asdict(seen)

    def one(self, item: Item, seen: Seen) -> NDArray[np.uint8]:
        """(H, W, C) of one, of whatever shape."""
        (name, stamp), where = item, self.place(item)
        content = _files.content(Path(self.root, str(name)), where, int(stamp))
        size = None if self.size is None else (self.size[0], self.size[1])
        return open_image(content, where, size, "L" if self.grey else "RGB", seen)

    def place(self, item: Item) -> str:
        """What an error calls a picture."""
        return place_of(str(item[0]), self.split)


@dataclass(frozen=True)
class Imagefolder(Reading):
    """``path/train/<class>/*.jpg``, and ``test`` and ``validation`` (or ``val``) alike; or ``path/<class>/*.jpg``.

    Pictures are read as a person sees them (see ``_encoded.py``): turned as their EXIF says, the first of several
    frames, what is transparent on white, 16-bit greys scaled to 0..255.

    Attributes:
        path: the folder. Links are followed; hidden files and folders are left out, and counted in a note.
        size: height and width that every image is resized to (bilinear); absent, all must have one size.
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
    grey: bool = False
    validation: float = 0.1
    test: float = 0.1
    groups: str = ""
    limit: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= 4096 for side in self.size):
            raise ValueError("size: allowed is a height and a width of 1 to 4096")
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
        names = np.array([file for file, _ in files], object)
        stamps = np.array([_files.stamp_of(Path(self.path, file)) for file in names], np.int64)
        decoder = Pictures(self.path, name, self.size, self.grey, ())
        first = decoder.one((names[0], int(stamps[0])), Seen())
        lazy = Lazy(replace(decoder, shape=first.shape), (names, stamps), self.pool)
        return Split(
            self.held(lazy, f"data.path ({name})", seen.add), np.array([label for _, label in files], np.int64)
        )
