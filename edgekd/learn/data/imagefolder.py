"""A folder of images: one folder a class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekd.errors import DataError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._encoded import open_image
from edgekd.learn.data._split import carve, checked, image_ops, part

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm"})
Labelled = list[tuple[Path, int]]


@dataclass(frozen=True)
class Imagefolder:
    """``path/train/<class>/*.jpg``, and ``test`` and ``validation`` (or ``val``) alike; or ``path/<class>/*.jpg``.

    Attributes:
        path: the folder.
        size: height and width that every image is resized to (bilinear); absent, all must have one size.
        grey: read as one channel.
        validation, test: where there is no folder of that name, the share (below 1) or count that is carved off.
        limit: use only so many training images, spread over the classes; 0: all.
        split_seed: of the carving.
    """

    path: str
    size: tuple[int, int] | None = None
    grey: bool = False
    validation: float = 0.1
    test: float = 0.1
    limit: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= 4096 for side in self.size):
            raise ValueError("size: allowed is a height and a width of 1 to 4096")
        for name in ("validation", "test"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: allowed is a share below 1, or a count from 1")
        if self.limit < 0:
            raise ValueError("limit: allowed is 0 (all) or more")

    def fingerprint(self) -> str:
        """SHA-256 over the fields, and the name and content of every image."""
        digest = hashlib.sha256(repr(self).replace(self.path, "").encode())
        root = self._root()
        for file in sorted(f for f in root.rglob("*") if f.suffix.lower() in ENDINGS):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def load(self) -> Dataset:
        """Read every image, carve off what has no folder, check everything."""
        root = self._root()
        folders = {"train": root / "train", "test": root / "test", "validation": _first(root, "validation", "val")}
        if not folders["train"].is_dir():
            folders = {"train": root, "test": root / ".none", "validation": root / ".none"}
        classes = _classes(folders["train"])
        train = self._read(self._limited(_listed(folders["train"], classes)), "train")
        splits: dict[str, Split] = {}
        for name in ("test", "validation"):
            if folders[name].is_dir():
                splits[name] = self._read(_listed(folders[name], classes), name)
            else:
                train, splits[name] = self._carved(train, name)
        dataset = Dataset(train, splits["validation"], splits["test"], classes, image_ops(255.0))
        return checked(dataset, f"data.path: {root.name}")

    def _root(self) -> Path:
        root = Path(self.path)
        if not root.is_dir():
            raise DataError("no such folder", where="data.path", found=self.path)
        return root

    def _limited(self, files: Labelled) -> Labelled:
        if not self.limit or self.limit >= len(files):
            return files
        y = np.array([label for _, label in files])
        _, chosen = carve(y, len(files), self.limit, self.split_seed)
        return [files[i] for i in chosen]

    def _read(self, files: Labelled, name: str) -> Split:
        if not files:
            raise DataError("an empty split", where=f"data.path ({name})")
        images: np.ndarray | None = None
        for i, (file, _) in enumerate(files):
            where = f"data.path ({name}): {file.parent.name}/{file.name}"
            image = open_image(file.read_bytes(), where, self.size, "L" if self.grey else "RGB")
            if images is None:
                images = np.empty((len(files), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                raise DataError(
                    "an image of another size",
                    where=where,
                    found=image.shape[:2],
                    allowed=str(images.shape[1:3]),
                    hint="give data.size = [height, width]",
                )
            images[i] = image
        assert images is not None
        return Split(images, np.array([label for _, label in files], np.int64))

    def _carved(self, train: Split, name: str) -> tuple[Split, Split]:
        share: float = getattr(self, name)
        wanted = int(share) if share >= 1 else round(share * len(train))
        if not 1 <= wanted < len(train):
            raise DataError(
                "leaves an empty split", where=f"data.{name}", found=share, allowed=f"less than {len(train)}"
            )
        kept, carved = carve(train.y, len(train), wanted, self.split_seed)
        return part(train.x, train.y, kept), part(train.x, train.y, carved)


def _first(root: Path, *names: str) -> Path:
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def _classes(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith(".")))
    if not names:
        raise DataError("no class folders", where="data.path", found=folder.name, allowed="<class>/*.jpg below it")
    return names


def _listed(folder: Path, classes: tuple[str, ...]) -> Labelled:
    unknown = [f.name for f in sorted(folder.iterdir()) if f.is_dir() and f.name not in classes and f.name[0] != "."]
    if unknown:
        raise DataError(
            "a class that train does not have", where=f"data.path ({folder.name})", found=unknown[0], allowed=classes
        )
    return [
        (file, label)
        for label, name in enumerate(classes)
        if (folder / name).is_dir()
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in ENDINGS
    ]
