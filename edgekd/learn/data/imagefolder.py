"""A folder of images: one folder a class."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _folders
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._encoded import Seen, open_image
from edgekd.learn.data._folders import Labelled
from edgekd.learn.data._split import check_carving, image_ops

ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".pbm", ".pgm", ".ppm", ".pnm")
)


@dataclass(frozen=True)
class Imagefolder:
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
        parts = (splits["train"], splits["validation"], splits["test"])
        dataset = Dataset(*parts, classes, image_ops(255.0), notes=(*notes, *seen.notes()))
        return checked(dataset, f"data.path: {Path(self.path).name}")

    def _read(self, seen: Seen, files: Labelled, name: str) -> Split:
        def decoded(file: Path) -> tuple[str, NDArray[np.uint8]]:
            where = f"data.path ({name}): {file.parent.name}/{file.name}"
            content = _files.content(file, where)
            return where, open_image(content, where, self.size, "L" if self.grey else "RGB", seen)

        first = decoded(files[0][0])
        limits.check("bytes", len(files) * first[1].size, "more than likely is meant", f"data.path ({name})")
        images = np.empty((len(files), *first[1].shape), np.uint8)
        for i, (file, _) in enumerate(files):
            where, image = decoded(file) if i else first
            if image.shape != images.shape[1:]:
                raise DataError(
                    "an image of another size",
                    where=where,
                    found=image.shape[:2],
                    allowed=str(images.shape[1:3]),
                    hint="give data.size = [height, width]",
                )
            images[i] = image
        return Split(images, np.array([label for _, label in files], np.int64))
